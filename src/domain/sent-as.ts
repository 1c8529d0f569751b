import { type BodySettings, type BodyValues, composerOf } from './compose-body';

/**
 * How the body of an attempt was made, if it was not the event's own bytes: with the event it gives those that were sent,
 * whatever the webhook's settings are now. `unknown`: the attempt was recorded by another worker, from what Temporal had of
 * it.
 */
export type SentAs = 'unknown' | (BodySettings & Pick<BodyValues, 'attempt' | 'retryable' | 'sentAtMs'>);

/**
 * The body of an attempt that was made; undefined if that cannot be told.
 * @param stored the event, cut if the delivery is minimal
 */
export function sentBody(
  stored: Buffer,
  sentAs: SentAs | null,
  ids: Pick<BodyValues, 'webhookId' | 'deliveryId'>,
): Buffer | undefined {
  if (sentAs === null) return stored;
  if (sentAs === 'unknown') return undefined;
  return composerOf(sentAs)(stored, { ...ids, ...sentAs }).body;
}
