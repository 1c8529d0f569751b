import { MAX_TIMEOUT_MS } from './limits';

/**
 * A test of a webhook: one attempt that belongs to no delivery. It is signed and sent as a delivery is, whatever its gate
 * says, and counts for nothing.
 */

/** The type of a test that names none: one that no producer can publish, so that no receiver takes it for business. */
export const TEST_EVENT_TYPE = 'posthorn.test';
/** Its data, and that of a type without an example. */
export const TEST_DATA = '{"test":true}';
/** Tells a receiver that looks for it that this is no delivery. */
export const TEST_HEADER = { 'X-Webhook-Test': 'true' };

/** `not_made`: no worker made it in time. */
export const TEST_OUTCOMES = ['pending', 'delivered', 'failed', 'not_made'] as const;
export type TestOutcome = (typeof TEST_OUTCOMES)[number];

/** No worker begins with a test that was asked for so long ago. */
export const TEST_BEGINS_WITHIN_MS = 60_000;
/** A test whose worker has not recorded it after this long was lost: the longest POST and its body end before. */
export const TEST_LIMIT_MS = TEST_BEGINS_WITHIN_MS + 2 * MAX_TIMEOUT_MS;

/** Tests of one tenant that may be under way at once. */
export const MAX_PENDING_TESTS = 10;
/** Tests of one tenant in any minute: a test takes no token of a webhook's rate limit. */
export const MAX_TESTS_PER_MINUTE = 30;
/** Tests of one tenant that are kept; the oldest goes when one more is asked for. */
export const MAX_TESTS_KEPT = 100;
/** For how long they are kept, milliseconds. */
export const TEST_RETENTION_MS = 7 * 24 * 3_600_000;
