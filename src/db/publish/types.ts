import type { Priority } from '../../domain/priorities';
import type { Earlier, IdempotencyKey } from './idempotent-requests';

export type NewEvent = {
  id: string;
  tenantId: string;
  type: string;
  /** The exact bytes that every receiver gets. */
  body: Buffer;
  createdAt: Date;
  /** The producer's own id: makes a repeated publish a no-op. */
  producerId?: string;
  /** Every subscription pattern that matches the type. */
  patterns: string[];
  priority?: Priority;
  /** Webhooks that want one version get only that. Without it (our own events), all get the event, and all of it. */
  version?: string;
  /** Webhooks whose filter the event does not pass. */
  excluded?: string[];
  /** What `data` is cut to for webhooks in minimal mode; none: nothing of it is left. */
  keyFields?: string[];
};

export type Published = { eventId: string; type: string; createdAt: Date; deliveries: number; duplicate: boolean };

/** A request of its own with an `Idempotency-Key`, and its answer up to the number of deliveries. */
export type KeyedRequest = IdempotencyKey & { answerHead: string };

export type PublishedOnce = { state: 'published'; deliveries: number } | Earlier;

/**
 * What makes a repeated publish of one event of several a no-op: the producer's own id, or the place in a request that
 * came with an `Idempotency-Key`.
 */
export type EventKey = { kind: 'event' | 'request'; key: string };

/** One of several events that are published together. */
export type BatchEvent = Omit<NewEvent, 'producerId'> & { once?: EventKey; request?: KeyedRequest };

export type BatchResult = { eventId: string; deliveries: number; duplicate: boolean };
