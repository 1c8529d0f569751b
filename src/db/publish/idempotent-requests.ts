import type { Pool } from 'pg';
import { newUuid } from '../../domain/ids';

type Connection = Pick<Pool, 'query'>;

/** A request that came with an `Idempotency-Key`. */
export type IdempotencyKey = { key: string /** SHA-256 over method, path and body. */; requestHash: Buffer };

/** The right to serve a request: until its lease ends, or for good once it is finished. */
export type Claim = { state: 'claimed'; id: string; claims: number };

/** What an earlier request with this key has come to. */
export type Earlier =
  | { state: 'running' }
  /** It was another request. */
  | { state: 'mismatch' }
  | ({ state: 'done'; id: string; sealed: boolean } & KeptAnswer);

/** `headers`: those that are the answer's own; null: none, or the answer is older than that column. */
export type KeptAnswer = { status: number; answer: string | null; headers: Record<string, string> | null };

/** How long an answer is kept and its key stands for its request. As an SQL interval. */
const KEPT_FOR = '24 hours';
/** A process that has died holds a request for no longer. One that serves it renews the lease in good time. */
export const LEASE_MS = 15_000;
const LEASE = `${LEASE_MS} milliseconds`;
/** Two renewals may fail or come late. */
export const RENEW_EVERY_MS = LEASE_MS / 3;
/** A key may expire between being found taken and being looked at. */
const ROUNDS = 3;

/** What makes the row `r` of a key free again. */
const EXPIRED = `r.created_at <= now() - interval '${KEPT_FOR}'`;

/**
 * Ends an insert into `idempotent_requests as r` that claims the key and keeps the answer in one statement: the row of an
 * expired request is taken over whole. Returns nothing where the key is taken.
 */
export const UNLESS_TAKEN = `on conflict (tenant_id, key) do update set
    id = excluded.id, request_hash = excluded.request_hash, state = excluded.state, claims = 1, lease_until = null,
    status = excluded.status, answer = excluded.answer, headers = excluded.headers, sealed = excluded.sealed,
    created_at = excluded.created_at
  where ${EXPIRED}`;

const CLAIM = {
  name: 'claim_idempotent_request',
  text: `
insert into idempotent_requests as r (tenant_id, key, id, request_hash, lease_until)
values ($1, $2, $3, $4, now() + interval '${LEASE}')
on conflict (tenant_id, key) do update set
  id = case when ${EXPIRED} then excluded.id else r.id end,
  created_at = case when ${EXPIRED} then excluded.created_at else r.created_at end,
  request_hash = excluded.request_hash, state = 'running', claims = r.claims + 1, lease_until = excluded.lease_until,
  status = null, answer = null, headers = null, sealed = true
where ${EXPIRED} or (r.state = 'running' and r.lease_until <= now() and r.request_hash = excluded.request_hash)
returning id, claims`,
};

const FIND = {
  name: 'find_idempotent_request',
  text: `
select id, state, request_hash, status, answer, headers, sealed from idempotent_requests r
where tenant_id = $1 and key = $2 and not (${EXPIRED})`,
};

const FINISH = {
  name: 'finish_idempotent_request',
  text: `
update idempotent_requests set state = 'done', lease_until = null, status = $5, answer = $6, headers = $7
where tenant_id = $1 and key = $2 and id = $3 and claims = $4 and state = 'running'`,
};

const RENEW = `
update idempotent_requests set lease_until = now() + interval '${LEASE}'
where tenant_id = $1 and key = $2 and id = $3 and claims = $4 and state = 'running'`;

/** Counted like a claim, so that a renewal that comes late finds nothing to renew. */
const RELEASE = `
update idempotent_requests set lease_until = now(), claims = claims + 1
where tenant_id = $1 and key = $2 and id = $3 and claims = $4 and state = 'running'`;

/**
 * Takes a key for a request before it is served. One whose request was cut short may be taken again by the same request
 * once the lease is over, and by any once it has expired.
 * @param newId names this use of the key, where it is the first
 */
export async function claimRequest(
  db: Connection,
  tenantId: string,
  once: IdempotencyKey,
  newId = newUuid(),
): Promise<Claim | Earlier> {
  for (let round = 0; round < ROUNDS; round++) {
    const { rows } = await db.query<{ id: string; claims: number }>({
      ...CLAIM,
      values: [tenantId, once.key, newId, once.requestHash],
    });
    if (rows[0]) return { state: 'claimed', ...rows[0] };
    const earlier = await findRequest(db, tenantId, once);
    if (earlier) return earlier;
  }
  return { state: 'running' };
}

/** What this key has come to; undefined where it is free, or became so. */
export async function findRequest(
  db: Connection,
  tenantId: string,
  once: IdempotencyKey,
): Promise<Earlier | undefined> {
  const { rows } = await db.query<{
    id: string;
    state: 'running' | 'done';
    request_hash: Buffer;
    status: number;
    answer: string | null;
    headers: Record<string, string> | null;
    sealed: boolean;
  }>({ ...FIND, values: [tenantId, once.key] });
  const row = rows[0];
  if (!row) return undefined;
  if (!row.request_hash.equals(once.requestHash)) return { state: 'mismatch' };
  const { id, state, status, answer, headers, sealed } = row;
  return state === 'running' ? { state } : { state, id, status, answer, headers, sealed };
}

/** A claim's row. */
export type Held = { tenantId: string; key: string } & Pick<Claim, 'id' | 'claims'>;

/** Keeps the answer, sealed. False, and nothing done, where the lease was over and someone else has taken the key. */
export function finishRequest(db: Connection, held: Held, { status, answer, headers }: KeptAnswer): Promise<boolean> {
  return change(db, { ...FINISH, values: [...rowOf(held), status, answer, headers && JSON.stringify(headers)] });
}

/** Keeps the key for a request that is still being served. */
export function renewRequest(db: Connection, held: Held): Promise<boolean> {
  return change(db, { text: RENEW, values: rowOf(held) });
}

/** Lets the same request be served again at once; another one still does not get the key. */
export function releaseRequest(db: Connection, held: Held): Promise<boolean> {
  return change(db, { text: RELEASE, values: rowOf(held) });
}

const rowOf = ({ tenantId, key, id, claims }: Held): unknown[] => [tenantId, key, id, claims];

async function change(db: Connection, statement: { name?: string; text: string; values: unknown[] }): Promise<boolean> {
  return ((await db.query(statement)).rowCount ?? 0) > 0;
}

/** Ids that producers gave to their events. */
const PRODUCER_IDS_KEPT_FOR = '7 days';

const FORGET = [
  `delete from idempotent_requests where (tenant_id, key) in (
     select tenant_id, key from idempotent_requests r where ${EXPIRED}
     order by created_at limit $1 for update skip locked)`,
  ...(
    [
      ['event', PRODUCER_IDS_KEPT_FOR],
      // Their requests are older than they are, and no longer begun again by then.
      ['request', KEPT_FOR],
    ] as const
  ).map(
    ([kind, retention]) => `
   delete from idempotency_keys where (tenant_id, kind, key) in (
     select tenant_id, kind, key from idempotency_keys
     where kind = '${kind}' and created_at <= now() - interval '${retention}'
     order by created_at limit $1 for update skip locked)`,
  ),
];

/** Deletes up to `batch` expired rows of each kind; how many, and whether there may be more. */
export async function purgeExpired(db: Connection, batch: number): Promise<{ purged: number; more: boolean }> {
  const counts: number[] = [];
  for (const statement of FORGET) counts.push((await db.query(statement, [batch])).rowCount ?? 0);
  return { purged: counts.reduce((sum, count) => sum + count, 0), more: counts.includes(batch) };
}
