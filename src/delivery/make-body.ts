import type { WebhookFacts } from '../db/queue/load-attempt';
import {
  type BodySettings,
  type BodyValues,
  type ComposedBody,
  type Composer,
  composerOf,
  isPlain,
} from '../domain/compose-body';
import { toPublicId } from '../domain/ids';
import type { SentAs } from '../domain/sent-as';

/** The body of an attempt, and what its record keeps to show it again. */
export type MadeBody = ComposedBody & { sentAs: SentAs | null };

type Prepared = { settings: BodySettings; webhookId: string; compose: Composer };

/** Deliveries of one claim share what it found of their webhook, and so what was prepared from it. */
const known = new WeakMap<WebhookFacts, Prepared>();

/**
 * Makes the body that a webhook's receiver reads: what is signed and sent.
 * @param stored the event's bytes, cut if the delivery is minimal
 */
export function makeBody(webhook: WebhookFacts, stored: Buffer, values: Omit<BodyValues, 'webhookId'>): MadeBody {
  const prepared = known.get(webhook) ?? prepare(webhook);
  known.set(webhook, prepared);
  const { settings, webhookId, compose } = prepared;
  const { attempt, retryable, sentAtMs } = values;
  return {
    ...compose(stored, { webhookId, ...values }),
    sentAs: isPlain(settings) ? null : { ...settings, attempt, retryable, sentAtMs },
  };
}

function prepare({ id, bodyFormat, envelope }: WebhookFacts): Prepared {
  const settings = { bodyFormat, envelope: envelope ?? 'standard' };
  return { settings, webhookId: toPublicId('webhook', id), compose: composerOf(settings) };
}
