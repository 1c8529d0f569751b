import { Connection } from '@temporalio/client';
import { reasonOf } from '../log';

/** What one look at an embedded Temporal found. */
export type TemporalState =
  | { kind: 'works' }
  /** It answers, and does not take a write. */
  | { kind: 'fails'; why: string }
  /** Nothing answers: it starts or stops, the machine is busy, or the process is suspended. */
  | { kind: 'silent' };

/** A server that works takes a write within milliseconds; on a busy machine it takes seconds. */
const WRITE_LIMIT_MS = 10_000;
/** To connect, and to say that it serves, it needs no database. */
const ANSWER_LIMIT_MS = 2_000;
/** Changing the namespace's description to what it is already: a write of one row, and nothing grows. */
const DESCRIPTION = 'Posthorn';

/**
 * Whether the Temporal at `address` takes a write, over the one connection to its database that every workflow start
 * uses as well.
 */
export async function checkTemporal(address: string, namespace: string): Promise<TemporalState> {
  // Without interceptors nothing is retried: the first answer counts.
  const connecting = Connection.connect({ address, connectTimeout: ANSWER_LIMIT_MS, interceptors: [] });
  const connection = await connecting.catch(() => undefined);
  if (!connection) return { kind: 'silent' };
  const within = (limitMs: number, call: () => Promise<unknown>) => connection.withDeadline(Date.now() + limitMs, call);
  try {
    const updateInfo = { description: DESCRIPTION };
    await within(WRITE_LIMIT_MS, () => connection.workflowService.updateNamespace({ namespace, updateInfo }));
    return { kind: 'works' };
  } catch (error) {
    const answers = await within(ANSWER_LIMIT_MS, () => connection.healthService.check({})).then(
      () => true,
      () => false,
    );
    return answers ? { kind: 'fails', why: reasonOf(error) } : { kind: 'silent' };
  } finally {
    await connection.close();
  }
}
