/** Bounds that several layers share. */

/** A POST may take this long at most; Standard Webhooks suggests 15 to 30 s. */
export const MAX_TIMEOUT_MS = 30_000;
export const MIN_TIMEOUT_MS = 1_000;
export const DEFAULT_TIMEOUT_MS = 10_000;
