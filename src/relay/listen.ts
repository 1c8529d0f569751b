import { Client } from 'pg';
import { sessionOf } from '../db/guarded-pool';
import { WORK_CHANNEL } from '../db/work-channel';
import { type Log, reasonOf } from '../log';

const RECONNECT_MS = 1_000;
/** A server that accepts the connection and does not answer is tried again after this long. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * Calls `onWork` when an api process notifies that it published. LISTEN needs a connection of its own; while that is down
 * nothing is lost, because the relay polls as well.
 */
export function listenForWork(databaseUrl: string, onWork: () => void, log: Log): { stop(): Promise<void> } {
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function connect(): Promise<void> {
    const next = new Client({
      ...sessionOf({ connectionString: databaseUrl }),
      application_name: 'posthorn-listen',
      keepAlive: true,
      connectionTimeoutMillis: ANSWER_LIMIT_MS,
      query_timeout: ANSWER_LIMIT_MS,
    });
    client = next;
    next.on('notification', onWork);
    next.on('error', (error) => log.warn({ event: 'listen_lost', err: reasonOf(error) }));
    next.on('end', () => {
      if (!stopped) timer = setTimeout(connect, RECONNECT_MS);
    });
    try {
      await next.connect();
      await next.query(`listen ${WORK_CHANNEL}`);
      onWork();
    } catch {
      await next.end().catch(() => undefined);
    }
  }

  void connect();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
