import type { Client } from '@temporalio/client';

/** Thrown if Temporal did not answer in time. It may carry the call out all the same. */
export class NoAnswerInTime extends Error {
  override readonly name = 'NoAnswerInTime';

  constructor(limitMs: number) {
    super(`no answer within ${limitMs} ms`);
  }
}

/**
 * Makes calls to Temporal that take `limitMs` at most. The deadline of a connection alone does not bound a call: it is for
 * each try, and of a server that answers that it is busy the SDK's connection asks again for some ten seconds.
 *
 * @throws NoAnswerInTime, and what the calls throw
 */
export async function withinLimit<T>(client: Client, limitMs: number, calls: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswerInTime(limitMs)), limitMs);
  });
  return Promise.race([client.withDeadline(Date.now() + limitMs, calls), late]).finally(() => clearTimeout(timer));
}
