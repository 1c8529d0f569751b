/** Bounds that several layers share. */

/** A POST may take this long at most; Standard Webhooks suggests 15 to 30 s. */
export const MAX_TIMEOUT_MS = 30_000;
export const MIN_TIMEOUT_MS = 1_000;
export const DEFAULT_TIMEOUT_MS = 10_000;

/** How long a claimed row is left to whom claimed it: the longest possible first attempt, with lookup, record, hand-over. */
export const LEASE_MS = MAX_TIMEOUT_MS + 10_000;
/** What was claimed or loaded is sent within this time of having been asked for, or not without asking again. */
export const CLAIM_FRESH_MS = 5_000;

/** A workflow task whose worker died with it is given to another after this time. */
export const WORKFLOW_TASK_TIMEOUT_MS = 10_000;
