import { newDeliveryId } from '../delivery-id';

/**
 * What every publish does in the same way, as parts of one `with`. A statement says in its own words which events are new
 * and who gets them, in two CTEs:
 *
 * - `new_events` (id, tenant_id, type, body, created_at, key_fields, priority, version, place): what is to be stored.
 *   `version` is null for our own events. `place` counts from 1, in the order in which they are published.
 * - `recipients` (webhook_id, minimal, and what they are joined by): the webhooks that get them.
 *
 * The parts below follow in this order: {@link insertEvents}, {@link makeDeliveries}, {@link insertDeliveries},
 * {@link enqueue}. The order that some of them take is an `order by`; a single event needs none, and sorts nothing.
 */

/** Of a subscription `s`: it is for this version (null: our own event, which is for all), and not excluded by its filter. */
export const wants = (version: string, excluded: string) =>
  `(${version} is null or s.payload_version is null or s.payload_version = ${version})
    and s.webhook_id <> all(${excluded})`;

/** Stores `new_events`. */
export const insertEvents = (order = '') => `
-- The events, with their exact bytes.
inserted_events as (
  insert into events (id, tenant_id, type, body, created_at, key_fields)
  select id, tenant_id, type, body, created_at, key_fields from new_events ${order})`;

/**
 * `new_deliveries`: one for each event and recipient.
 * @param recipients the join from `new_events` to `recipients`
 */
export const makeDeliveries = (recipients: string) => `
-- Only a producer's event is cut to its key fields; our own have no version, and go out whole.
new_deliveries as materialized (
  select ${newDeliveryId('new_events.id')} as id,
    new_events.tenant_id, new_events.id as event_id, recipients.webhook_id, new_events.type as event_type,
    recipients.minimal and new_events.version is not null as minimal, new_events.priority, new_events.place
  from new_events ${recipients})`;

/** Stores `new_deliveries`. */
export const insertDeliveries = (order = '') => `
-- The deliveries, as the API shows them.
inserted_deliveries as (
  insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, minimal)
  select id, tenant_id, event_id, webhook_id, event_type, minimal from new_deliveries ${order})`;

/** Queues `new_deliveries`. Their order here is the one that ordered webhooks keep. */
export const enqueue = (order = '') => `
-- The deliveries, as the workers claim them.
queued as (
  insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, priority)
  select id, tenant_id, event_id, webhook_id, event_type, priority from new_deliveries ${order})`;
