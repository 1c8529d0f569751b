import { sql } from 'kysely';
import { newUuid } from '../../domain/ids';
import type { Queryable, Tx } from '../database';

export type StoredSecret = { sealed: string; createdAt: Date; expiresAt: Date | null };

/** Secrets that may sign at once. Each adds a signature to every POST. */
const MAX_SIGNING = 5;

/** The secrets that sign now, the current one first. */
export async function listSecrets(db: Queryable, webhookId: string): Promise<StoredSecret[]> {
  const rows = await db
    .selectFrom('webhook_secrets')
    .select(['sealed', 'created_at', 'expires_at'])
    .where('webhook_id', '=', webhookId)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
    .orderBy('created_at', 'desc')
    .limit(MAX_SIGNING)
    .execute();
  return rows.map((row) => ({ sealed: row.sealed, createdAt: row.created_at, expiresAt: row.expires_at }));
}

/** Makes a secret the current one. Those before it sign for `graceMs` more, or until their own end if that is sooner. */
export async function rotateSecret(tx: Tx, webhookId: string, sealed: string, graceMs: number): Promise<void> {
  // One rotation after the other, so that the later one sees the earlier one's secret.
  await sql`select from webhooks where id = ${webhookId} for update`.execute(tx);
  await sql`
    update webhook_secrets set expires_at = least(expires_at, now() + ${graceMs}::float8 * interval '1 ms')
    where webhook_id = ${webhookId}`.execute(tx);
  await tx
    .insertInto('webhook_secrets')
    .values({ id: newUuid(), webhook_id: webhookId, sealed, expires_at: null })
    .execute();
  // Of many rotations in a row, the oldest end early; what has long ended is not kept.
  await sql`
    delete from webhook_secrets where webhook_id = ${webhookId} and (expires_at < now() or id not in (
      select id from webhook_secrets where webhook_id = ${webhookId} order by created_at desc limit ${MAX_SIGNING}))
    `.execute(tx);
}
