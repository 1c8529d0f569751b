/**
 * The SQL of a new delivery's id: a random UUIDv7 with the 48 time bits of its event, so that a delivery is found in its
 * event's partition. `event` is an SQL expression of the event's id as a uuid.
 */
export const newDeliveryId = (event: string): string =>
  `(substr(${event}::text, 1, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid`;
