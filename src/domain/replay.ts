import type { EndState } from './delivery';
import type { RateLimit } from './rate-limit';

/** The times of a delivery by which it may be chosen: when its event was published, or when it ended. */
export const TIMES_OF_DELIVERIES = ['published', 'ended'] as const;
export type TimeOfDelivery = (typeof TIMES_OF_DELIVERIES)[number];

/** Which ended deliveries a bulk replay sends again. Times are RFC 3339 text: the filter is stored as JSON. */
export type ReplayFilter = {
  since: string;
  until: string;
  /** What `since` and `until` bound; `published` where it is absent. */
  by?: TimeOfDelivery;
  states: EndState[];
  event_types?: string[];
  /** Failed deliveries that were discarded are left out. */
  dead_letters?: true;
};

/** What `replays.filter` holds: the rate as it was asked for stands beside the filter. */
export type StoredReplayFilter = ReplayFilter & { rate_limit: string };

export type ReplayState = 'running' | 'completed' | 'cancelled';

/**
 * How far a replay has come. `total` is what the filter matched when it began, null until that is counted; `skipped`
 * are those of them that were not sent: their webhook was deleted, or they were sent again before their page came.
 */
export type ReplayProgress = { state: ReplayState; total: number | null; sent: number; skipped: number };

/** Bulk replays of one tenant that may be running: each has a workflow, and they share the tenant's permit. */
export const MAX_RUNNING = 50;

/** Deliveries that one page puts back into the queue at most: one short transaction. */
const MAX_PAGE = 100;
/** A replay's history stays far below what Temporal warns of (some 15 events a page). */
export const PAGES_PER_RUN = 50;

/** How many deliveries a page takes, so that it is about a second of its rate at most and never none. */
export function pageSize({ count, perMs }: RateLimit): number {
  return Math.max(1, Math.min(MAX_PAGE, Math.floor((count * 1_000) / perMs)));
}
