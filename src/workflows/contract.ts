import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { AttemptCause, AttemptSummary } from '../delivery/types';
import type { RateLimit } from '../domain/rate-limit';
import type { ReplayProgress } from '../domain/replay';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';

/** What relay, api and workflow agree on. Only ids, numbers and names: everything here is kept in Temporal. */
export type DeliverInput = {
  /** uuids */
  deliveryId: string;
  webhookId: string;
  /** Absent from workflows that began before it was passed on. */
  tenantId?: string;
  /** Attempts made before this run. */
  attempt: number;
  cause: Exclude<AttemptCause, 'manual'>;
  /** Wait before the first attempt of this run, milliseconds: the attempt before was made by the express path. */
  waitMs?: number;
  /** The same as a time (Unix milliseconds) on a worker's clock; in inputs of workflows that began before `waitMs`. */
  dueAtMs?: number;
  /** That attempt. */
  last?: AttemptSummary;
  /** The task queue of every attempt but a quick first one. */
  retriesQueue: string;
  /** Above the longest possible attempt. */
  attemptTimeoutMs: number;
};

/** The answer to the `status` query. */
export type WorkflowStatus = {
  state: 'in_progress' | 'retrying' | 'cancelled';
  attempts: number;
  nextAttemptAtMs?: number;
  last?: AttemptSummary;
};

/** The input of a bulk replay; its filter stays in Postgres. */
export type ReplayInput = {
  /** uuid */
  replayId: string;
  /** How fast it puts deliveries back into the queue. */
  rate: RateLimit;
  /** Deliveries per page. */
  pageSize: number;
  /** Pages after which the run goes on under a new history. */
  pagesPerRun: number;
  /** The task queue of its activities: one of their own, so that they take no slots from later attempts. */
  retriesQueue: string;
  progress: ReplayProgress;
};

/** The input of one round of endpoint verification; URL and challenge stay out of Temporal. */
export type VerificationInput = {
  /** uuid */
  webhookId: string;
  round: number;
  /** The task queue of its activity. */
  retriesQueue: string;
};

/** The input of a test of a webhook; what is sent stays in Postgres. */
export type TestInput = {
  /** uuid */
  testId: string;
  /** The task queue of its activity. */
  retriesQueue: string;
  /** Above the longest possible attempt. */
  attemptTimeoutMs: number;
};

export const PosthornTenant = defineSearchAttributeKey(SEARCH_ATTRIBUTES.tenant, SearchAttributeType.KEYWORD);
export const PosthornWebhook = defineSearchAttributeKey(SEARCH_ATTRIBUTES.webhook, SearchAttributeType.KEYWORD);
export const PosthornEventType = defineSearchAttributeKey(SEARCH_ATTRIBUTES.eventType, SearchAttributeType.KEYWORD);
export const PosthornState = defineSearchAttributeKey(SEARCH_ATTRIBUTES.state, SearchAttributeType.KEYWORD);
