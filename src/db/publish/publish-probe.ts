import { Client, DatabaseError } from 'pg';
import { weeksAhead } from '../partitions';

/** Why publishing does not work now. `slow`: no answer in time, from a busy database or one that cannot be reached. */
export type ProbeTrouble = 'unreachable' | 'slow' | 'read_only' | 'disk_full' | 'failing';

/** What a look at the database found; `err` is for the log. */
export type Probed = { trouble?: undefined; weeksAhead: number } | { trouble: ProbeTrouble; err: string };

export type PublishProbe = { look(limitMs: number): Promise<Probed>; close(): Promise<void> };

/** `over`: nobody waits for it any more. */
type Look = { limitMs: number; over: boolean };

/** The server, too, ends a statement that was given up on. */
const STATEMENT_LIMIT_MS = 5_000;
/** A new session has the settings that new connections get (`alter role … set`), and shows that they can be made. */
const SESSION_MS = 10_000;
/** Above work_mem, so that Postgres writes 70 kB to a temporary file: that takes free space, which one row need not. */
const SPILL_ROWS = 5_000;
const SESSION_SETTINGS = '-c work_mem=64kB -c temp_tablespaces= -c jit=off';
const TOO_MANY_CONNECTIONS = '53300';

const READ_ONLY = `select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only`;
/** Committed: so it also waits for what a publish waits for, the disk of the log and standbys that have to confirm. */
const WRITE = 'update publish_probe set probed_at = clock_timestamp()';
const SPILL = `select count(*) from generate_series(1, ${SPILL_ROWS})`;

/**
 * Looks whether publishing works: the database can be reached, is no standby, takes a write, has free space and partitions
 * ahead. Over a connection of its own, so that a pool whose connections are all in use is not taken for a database
 * that cannot be reached. One look at a time; it never rejects, and takes its limit at most.
 */
export function createPublishProbe(url: string): PublishProbe {
  let session: { client: Client; sinceMs: number } | undefined;

  async function connect(look: Look): Promise<void> {
    const client = new Client({
      connectionString: url,
      application_name: 'posthorn-api-probe',
      connectionTimeoutMillis: look.limitMs,
      statement_timeout: STATEMENT_LIMIT_MS,
      options: SESSION_SETTINGS,
    });
    client.on('error', () => leave(client));
    try {
      await client.connect();
      if (look.over) throw new Error('too late');
    } catch (error) {
      client.end().catch(() => undefined);
      throw error;
    }
    const old = session?.client;
    session = { client, sinceMs: performance.now() };
    old?.end().catch(() => undefined);
  }

  /** Ends a session whose state is not known; `end` destroys the socket where a statement is under way. */
  function leave(client: Client | undefined): void {
    if (session?.client === client) session = undefined;
    client?.end().catch(() => undefined);
  }

  async function run(look: Look): Promise<Probed> {
    if (!session || performance.now() - session.sinceMs > SESSION_MS) {
      await connect(look).catch((error: unknown) => {
        if (!session || (error as DatabaseError).code !== TOO_MANY_CONNECTIONS) throw error;
      });
    }
    const { client } = session!;
    const { rows } = await client.query<{ read_only: boolean }>(READ_ONLY);
    if (rows[0]!.read_only)
      return { trouble: 'read_only', err: 'the database is a standby, or read-only by its settings' };
    await client.query(WRITE);
    await client.query(SPILL);
    return { weeksAhead: await weeksAhead(client, Date.now()) };
  }

  return {
    async look(limitMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<Probed>((resolve) => {
        timer = setTimeout(resolve, limitMs, { trouble: 'slow', err: `no answer within ${limitMs} ms` });
      });
      const look: Look = { limitMs, over: false };
      const before = session?.client;
      // A session that ended since the last look says nothing about the database: a new one does.
      const looked = run(look)
        .catch((error: Error) => {
          if (look.over || !before || !hasEnded(error)) throw error;
          leave(before);
          return run(look);
        })
        .catch((error: Error): Probed => ({ trouble: troubleOf(error), err: error.message }));
      const found = await Promise.race([looked, late]);
      clearTimeout(timer);
      look.over = true;
      // Its transaction may be open, its statement under way.
      if (found.trouble) leave(session?.client);
      return found;
    },
    close: async () => leave(session?.client),
  };
}

/** By the network's word, or by the server's (57P01: terminated by an administrator). */
const hasEnded = (error: Error) => !(error instanceof DatabaseError) || error.code === '57P01';

/** By SQLSTATE (appendix A of Postgres' manual); what comes without one came from the network. */
function troubleOf(error: Error): ProbeTrouble {
  if (!(error instanceof DatabaseError)) return /timeout/i.test(error.message) ? 'slow' : 'unreachable';
  const { code = '' } = error;
  if (code === '53100') return 'disk_full';
  if (code === '25006') return 'read_only';
  if (code === '57014') return 'slow';
  return /^(08|57)/.test(code) ? 'unreachable' : 'failing';
}
