import { Client, type ClientBase } from 'pg';
import type { SeenHolder } from '../../domain/liveness';
import { sessionOf } from '../guarded-pool';

/**
 * Who holds deliveries: a row for each worker that lives (more than one while it changes its id). What is held under an
 * id without a row is free. Whether a worker lives is judged by the others (src/domain/liveness.ts), never by a clock.
 */

/** The first key of the session locks; the second one is the holder's id. "PHLH" in ASCII. */
const LOCK_CLASS = 0x50484c48;

/** SQL for the ids of all live holders as an array, to stand in a statement's `with`. */
export const LIVE_HOLDERS = `live_holders as materialized (select coalesce(array_agg(id), '{}') ids from lease_holders)`;

/**
 * SQL, beside {@link LIVE_HOLDERS}: this holder is dead. A row that a statement waited for is as new as its lock, but the ids
 * are as old as the statement: one that came meanwhile is looked for anew.
 */
export const isDead = (holder: string) =>
  `(case when ${holder} = any((select ids from live_holders)::int[]) then false else not holder_lives(${holder}) end)`;

/**
 * SQL: an attempt of this queue row is in flight, or may be at any moment, at a worker that lives. This alone is what
 * `in_progress` means. `row` is what the query calls it.
 */
export const isInFlight = (row: string) => `(${row}.posting is not null
  and (exists (select from lease_holders h where h.id = ${row}.holder) or holder_lives(${row}.holder)))`;

const CONNECT_LIMIT_MS = 5_000;
/** A network that holds bytes back for less costs nothing: the session, and its lock, are kept. */
const STATEMENT_LIMIT_MS = 50_000;

/** A session of a holder's own. */
export type HolderSession = {
  client: ClientBase;
  /** Ends it without waiting for a word from the server. */
  drop(): void;
};

/** Opens the session that a holder beats over. @throws where the database cannot be reached */
export async function openHolderSession(databaseUrl: string, onEnd: () => void): Promise<HolderSession> {
  const client = new Client({
    ...sessionOf({ connectionString: databaseUrl }),
    application_name: 'posthorn-holder',
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    query_timeout: STATEMENT_LIMIT_MS,
  });
  const drop = () => {
    void client.end().catch(() => undefined);
    // A server that does not answer does not say goodbye either.
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  };
  client.on('error', () => undefined); // the next statement fails, too
  client.on('end', onEnd);
  try {
    await client.connect();
  } catch (error) {
    drop();
    throw error;
  }
  return { client, drop };
}

/** A new holder, whose row stands until {@link removeHolder}. */
export async function addHolder(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ id: number }>('insert into lease_holders default values returning id');
  return rows[0]!.id;
}

/**
 * Takes the session locks of these holders, as far as this session has them not yet. A lock goes with its session, and so
 * tells at once of a process that died.
 */
export async function lockHolders(client: ClientBase, ids: readonly number[]): Promise<void> {
  await client.query(
    `select pg_try_advisory_lock(${LOCK_CLASS}, id) from unnest($1::int[]) w(id)
     where not exists (select from pg_locks l where l.pid = pg_backend_pid() and l.locktype = 'advisory'
       and l.classid = ${LOCK_CLASS} and l.objid::int = w.id and l.objsubid = 2)`,
    [ids],
  );
}

/** What one beat tells: every holder there is, and the time by the clock of the database (Unix milliseconds). */
export type Beat = { holders: SeenHolder[]; databaseTimeMs: number };

/**
 * Says that these holders live, and sees who else does. One that is missing in the answer was judged dead. Counts up by
 * `step`: by one at most once a second, so that beats tell how much time has passed at least.
 */
export async function beat(client: ClientBase, ids: readonly number[], step: 0 | 1): Promise<Beat> {
  const { rows } = await client.query<SeenHolder & { now_ms: number }>({
    name: 'beat',
    text: `
with own as (update lease_holders set beats = beats + $2::int where id = any($1::int[]))
select h.id, h.beats, exists (select from pg_locks l where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS}
    and l.objid::int = h.id and l.objsubid = 2 and l.granted
    and l.database = (select oid from pg_database where datname = current_database())) as locked,
  extract(epoch from clock_timestamp())::float8 * 1000 as now_ms
from lease_holders h`,
    values: [ids, step],
  });
  const holders = rows.map(({ id, beats, locked }) => ({ id, beats, locked }));
  return { holders, databaseTimeMs: rows[0]?.now_ms ?? Number.NaN };
}

/** Declares a holder dead that has not beaten since: all that it held is free. False where it has beaten meanwhile. */
export async function buryHolder(client: ClientBase, { id, beats }: SeenHolder): Promise<boolean> {
  const { rowCount } = await client.query('delete from lease_holders where id = $1 and beats = $2', [id, beats]);
  return rowCount === 1;
}

/** Ends a holder that holds nothing more. */
export async function removeHolder(client: ClientBase, id: number): Promise<void> {
  await client.query('delete from lease_holders where id = $1', [id]);
}
