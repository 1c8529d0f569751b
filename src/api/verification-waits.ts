import type { Queryable } from '../db/database';
import { pendingVerifications } from '../db/store/verifications';
import { createWaits, type Waits } from './waits';

/** A round ends within this time, unless a worker died or there is none. */
const WAIT_LIMIT_MS = 15_000;
/** Requests that may wait at once, of one tenant and of all: each is an open connection. */
export const MAX_WAITS = { perKey: 20, total: 200 };

/** Waits for rounds of verification to end, by the uuids of their webhooks. */
export const createVerificationWaits = (db: Queryable): Waits =>
  createWaits({
    pending: (webhookIds) => pendingVerifications(db, webhookIds),
    limitMs: WAIT_LIMIT_MS,
    places: MAX_WAITS,
    what: 'a verification',
  });
