import { sql } from 'kysely';
import type { SecretBox } from '../../crypto/secret-box';
import { NIL_UUID } from '../../domain/ids';
import type { Database, Tx } from '../database';

/** What is sealed at rest: the webhooks' secrets, and their own headers. Deleted webhooks' too. */
export const SEALED = ['secrets', 'headers'] as const;
export type Sealed = (typeof SEALED)[number];

/** Values sealed again in one transaction: short enough that nobody waits for their locks. */
const BATCH = 200;
const FIRST_ID = NIL_UUID;

export type Reencrypted = {
  /** Sealed under the first key now. */
  resealed: number;
  /** uuids of webhooks with a value that does not open. */
  unopened: string[];
};

type Row = { id: string; webhook_id: string; tenant_id: string; sealed: string };

/** How many values are not sealed under this key. */
export async function countOthers(db: Database, kind: Sealed, keyId: string): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int n from ${values(kind)} v where split_part(v.sealed, '.', 1) <> ${keyId}`.execute(db.kysely);
  return rows[0]!.n;
}

/** How many values are sealed under each key. */
export async function countByKey(db: Database): Promise<{ keyId: string; count: number }[]> {
  const { rows } = await sql<{ keyId: string; count: number }>`
    select split_part(sealed, '.', 1) as "keyId", count(*)::int as count
    from (select sealed from ${values('secrets')} s union all select sealed from ${values('headers')} h) v
    group by 1 order by 1`.execute(db.kysely);
  return rows;
}

/**
 * Seals every value of a kind under the first key that is sealed under another, batch by batch in id order. May run
 * while the roles do and more than once at a time: each batch is a transaction of its own, a row that someone else
 * holds is passed over, and only the very value that was read is replaced. What does not open stays as it is.
 */
export async function reencrypt(
  db: Database,
  box: SecretBox,
  kind: Sealed,
  onBatch: (resealed: number) => void,
): Promise<Reencrypted> {
  const total: Reencrypted = { resealed: 0, unopened: [] };
  for (let after: string | undefined = FIRST_ID; after !== undefined; ) {
    const from: string = after;
    after = await db.kysely.transaction().execute(async (tx) => {
      const rows = await takeBatch(tx, kind, box.keyId, from);
      const opened = rows.flatMap((row) => {
        const owner = { tenantId: row.tenant_id, webhookId: row.webhook_id };
        const value = tryOpen(box, row.sealed, owner);
        if (value === undefined) total.unopened.push(row.webhook_id);
        return value === undefined ? [] : [{ ...row, resealed: box.seal(value, owner) }];
      });
      if (opened.length > 0) await replace(tx, kind, opened);
      total.resealed += opened.length;
      return rows.length < BATCH ? undefined : rows.at(-1)!.id;
    });
    onBatch(total.resealed);
  }
  return total;
}

function tryOpen(box: SecretBox, sealed: string, owner: { tenantId: string; webhookId: string }): string | undefined {
  try {
    return box.open(sealed, owner);
  } catch {
    return undefined;
  }
}

async function takeBatch(tx: Tx, kind: Sealed, keyId: string, after: string): Promise<Row[]> {
  const { rows } = await (kind === 'secrets'
    ? sql<Row>`
        select s.id, s.webhook_id, w.tenant_id, s.sealed
        from webhook_secrets s join webhooks w on w.id = s.webhook_id
        where s.id > ${after} and split_part(s.sealed, '.', 1) <> ${keyId}
        order by s.id limit ${BATCH} for update of s skip locked`
    : sql<Row>`
        select id, id as webhook_id, tenant_id, sealed_headers as sealed from webhooks
        where id > ${after} and split_part(sealed_headers, '.', 1) <> ${keyId}
        order by id limit ${BATCH} for update skip locked`
  ).execute(tx);
  return rows;
}

async function replace(tx: Tx, kind: Sealed, rows: (Row & { resealed: string })[]): Promise<void> {
  const given = sql`unnest(${rows.map((row) => row.id)}::uuid[], ${rows.map((row) => row.sealed)}::text[],
    ${rows.map((row) => row.resealed)}::text[]) n(id, sealed, resealed)`;
  await (kind === 'secrets'
    ? sql`update webhook_secrets s set sealed = n.resealed from ${given} where s.id = n.id and s.sealed = n.sealed`
    : sql`update webhooks w set sealed_headers = n.resealed from ${given}
        where w.id = n.id and w.sealed_headers = n.sealed`
  ).execute(tx);
}

function values(kind: Sealed) {
  return kind === 'secrets'
    ? sql`webhook_secrets`
    : sql`(select sealed_headers as sealed from webhooks where sealed_headers is not null)`;
}
