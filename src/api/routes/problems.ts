import type { ProblemCode } from '../errors';

/** What an operator's wish for a delivery can meet. */
export const ENGINE: ProblemCode[] = ['state_conflict', 'engine_unavailable'];
