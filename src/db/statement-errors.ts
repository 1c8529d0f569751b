import { DatabaseError } from 'pg';

/**
 * SQLSTATEs that end the session: a connection that is gone, a server that goes, a session that was idle or open for too
 * long. They can come after the statement was done, between its commit and its answer.
 */
const ENDS_SESSION = /^(08...|57P..|25P0[34])$/;

/** Postgres has refused a statement: nothing of it was done, and another one may succeed. */
export const wasRefused = (error: unknown): boolean =>
  error instanceof DatabaseError && !ENDS_SESSION.test(error.code ?? '');

/** The answer to a COMMIT did not come: what the transaction did is done, or nothing of it is. */
export class OutcomeUnknownError extends Error {
  constructor(cause: unknown) {
    super('The answer to COMMIT was lost: the transaction may have been committed or not.', { cause });
    this.name = 'OutcomeUnknownError';
  }
}
