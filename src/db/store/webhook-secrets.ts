import { sql } from 'kysely';
import { newUuid } from '../../domain/ids';
import type { Queryable, Tx } from '../database';

export type StoredSecret = {
  sealed: string;
  createdAt: Date;
  expiresAt: Date | null;
  /** When the styles that carry one signature change to it; null if they have. */
  switchAt: Date | null;
};

/** Secrets that may sign at once. Each adds a signature to every POST. */
const MAX_SIGNING = 5;

/** The secrets that sign now, the current one first. */
export async function listSecrets(db: Queryable, webhookId: string): Promise<StoredSecret[]> {
  const rows = await db
    .selectFrom('webhook_secrets')
    .select(['sealed', 'created_at', 'expires_at'])
    .select(sql<Date | null>`case when switch_at > now() then switch_at end`.as('switch_at'))
    .where('webhook_id', '=', webhookId)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
    .orderBy('created_at', 'desc')
    .limit(MAX_SIGNING)
    .execute();
  return rows.map((row) => ({
    sealed: row.sealed,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    switchAt: row.switch_at,
  }));
}

/** How a rotation goes: milliseconds from now; `switchAt`: null for the end of the grace. */
export type Rotation = { graceMs: number; switchAt: Date | null };

export type Rotated = { previousSignUntil: Date; switchAt: Date };

/**
 * Makes a secret the current one. Those before it sign for `graceMs` more, or until their own end if that is sooner.
 * The styles that carry one signature go on with the one before until `switchAt`, at most for the grace. All of it by
 * Postgres' clock.
 */
export async function rotateSecret(
  tx: Tx,
  webhookId: string,
  sealed: string,
  { graceMs, switchAt }: Rotation,
): Promise<Rotated> {
  // One rotation after the other, so that the later one sees the earlier one's secret.
  await sql`select from webhooks where id = ${webhookId} for update`.execute(tx);
  await sql`
    update webhook_secrets set expires_at = least(expires_at, now() + ${graceMs}::float8 * interval '1 ms')
    where webhook_id = ${webhookId}`.execute(tx);
  const { rows } = await sql<{ until: Date; switch_at: Date }>`
    insert into webhook_secrets (id, webhook_id, sealed, switch_at)
    select ${newUuid()}, ${webhookId}, ${sealed},
      greatest(now(), least(${switchAt}::timestamptz, now() + ${graceMs}::float8 * interval '1 ms'))
    returning switch_at, now() + ${graceMs}::float8 * interval '1 ms' as until`.execute(tx);
  // Of many rotations in a row, the oldest end early; what has long ended is not kept.
  await sql`
    delete from webhook_secrets where webhook_id = ${webhookId} and (expires_at < now() or id not in (
      select id from webhook_secrets where webhook_id = ${webhookId} order by created_at desc limit ${MAX_SIGNING}))
    `.execute(tx);
  return { previousSignUntil: rows[0]!.until, switchAt: rows[0]!.switch_at };
}
