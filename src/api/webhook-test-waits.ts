import type { Queryable } from '../db/database';
import { pendingTests } from '../db/store/webhook-tests';
import { MAX_TIMEOUT_MS } from '../domain/limits';
import { MAX_PENDING_TESTS } from '../domain/webhook-test';
import { createWaits, type Waits } from './waits';

/** Longer than the longest POST, by what starting its workflow and recording take. */
const WAIT_LIMIT_MS = MAX_TIMEOUT_MS + 10_000;
/** Requests that may wait at once, of one tenant (as many as it may have tests under way) and of all. */
const PLACES = { perKey: MAX_PENDING_TESTS, total: 200 };

/** Waits for tests of webhooks to end, by their uuids. */
export const createWebhookTestWaits = (db: Queryable): Waits =>
  createWaits({
    pending: (ids) => pendingTests(db, ids),
    limitMs: WAIT_LIMIT_MS,
    places: PLACES,
    what: 'the end of a test',
  });
