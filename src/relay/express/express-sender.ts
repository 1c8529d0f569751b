import type { ClaimedWebhook, ExpressDelivery } from '../../db/queue/claim-express';
import { toSummary } from '../../delivery/attempt-record';
import type { InFlight } from '../../delivery/in-flight';
import type { Attempts } from '../../delivery/make-attempt';
import type { CompletedPost } from '../../delivery/post-attempt';
import { recordWithRetry } from '../../delivery/record-with-retry';
import type { WaitingDelivery } from '../../temporal/start-delivery';

export type SenderSettings = {
  attempts: Pick<Attempts, 'post' | 'writeAttempt'>;
  inFlight: Pick<InFlight, 'release'>;
  /** Ends a delivery that is not to be sent: its cancel was requested, or its webhook was deleted. */
  cancel: (delivery: ExpressDelivery, why: 'asked' | 'deleted') => Promise<unknown>;
  /** How long a delivery still waits after this attempt, milliseconds; undefined if it waits for no retry. */
  findWait: (deliveryId: string, attempt: number) => Promise<number | undefined>;
  /** Asked right before the POST is written to its connection. */
  isOurs: (delivery: ExpressDelivery) => boolean;
  /** The process stops: a record that Postgres does not take is not repeated for ever. */
  stopping: () => boolean;
  /** Called after a record whose delivery may be claimed again, because an operator requested a retry meanwhile. */
  onClaimable: () => void;
  /** Gives a delivery to Temporal, for its next attempt. */
  startWaiting: (delivery: WaitingDelivery) => void;
};

/** A POST that was made for a delivery and is to be recorded. */
export type Sent = { post: CompletedPost; webhook: ClaimedWebhook };

/** The two halves of an attempt; between them the path may send more to a webhook that answers. */
export type ExpressSender = {
  /**
   * Makes the POST, whose slot of the webhook is free afterwards. Undefined if the delivery was ended instead.
   * @throws StaleAttempt, or for a reason of our own: nothing was sent
   */
  send(delivery: ExpressDelivery): Promise<Sent | undefined>;
  /** Records the attempt, however long that takes, and hands a delivery that is to be retried over to Temporal. */
  settle(delivery: ExpressDelivery, sent: Sent): Promise<void>;
};

/** Makes attempts of claimed deliveries: POST, record, hand over. Which one is sent when is the path's concern. */
export function createExpressSender(settings: SenderSettings): ExpressSender {
  const { attempts, inFlight, cancel, findWait, isOurs, stopping, onClaimable, startWaiting } = settings;
  return {
    async send(delivery) {
      const { deliveryId, webhook, queue, holder } = delivery;
      const request = { deliveryId, number: queue.attempt + 1, cause: 'claimed' } as const;
      try {
        if (queue.cancelAsked) return void (await cancel(delivery, 'asked'));
        if (!webhook) return void (await cancel(delivery, 'deleted'));
        const post = await attempts.post({ ...delivery, webhook }, request, { holder, mayGo: () => isOurs(delivery) });
        return { post, webhook };
      } finally {
        inFlight.release(deliveryId);
      }
    },

    async settle({ deliveryId, tenantId, webhookId, eventType }, { post: { record, verdict }, webhook: { host } }) {
      const written = await recordWithRetry(attempts.writeAttempt, record, stopping);
      if (written?.retryRequested) onClaimable();
      if (!written || written.retryRequested || written.cancelled || verdict.kind !== 'retry') return;
      // A record that was repeated may have been taken the first time: its answer was lost, and nobody else knows of it.
      const waitMs = written.moved ? verdict.waitMs : await findWait(deliveryId, record.number);
      if (waitMs === undefined) return;
      startWaiting({
        ...{ deliveryId, tenantId, webhookId, eventType, host },
        attempt: record.number,
        dueAtMs: performance.now() + waitMs,
        last: toSummary(record),
      });
    },
  };
}
