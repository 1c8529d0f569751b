import type { AttemptContext, WebhookFacts } from '../db/queue/load-attempt';

/** What an attempt is made from: a delivery that may be sent now. */
export type Sendable = Pick<AttemptContext, 'tenantId' | 'eventId' | 'eventType' | 'body'> &
  Required<Pick<AttemptContext, 'queue'>> & { webhook: WebhookFacts };
