import { sql } from 'kysely';
import {
  modeInForce,
  VERIFICATION_LIMIT_MS,
  type VerificationMethod,
  type VerificationMode,
} from '../../domain/verification';
import type { Queryable, Tx } from '../database';
import type { WebhookFacts } from '../queue/load-attempt';
import { sealedSecretsOf } from '../queue/load-attempt.sql';

/**
 * Endpoint verification in Postgres. Rounds are numbered: the answer to one counts only while no
 * later one was asked for and the URL is the same, since a new URL begins a new round.
 */

/**
 * The mode in force for a tenant, which is at least `minimum`; `for share`, so that a change of it waits for transactions that have read it. To be read
 * before a gate is locked: a change of the mode locks the tenant first, and then gates.
 */
export async function findMode(tx: Tx, tenantId: string, minimum: VerificationMode): Promise<VerificationMode> {
  const row = await tx
    .selectFrom('tenants')
    .select('endpoint_verification')
    .where('id', '=', tenantId)
    .forShare()
    .executeTakeFirstOrThrow();
  return modeInForce(row.endpoint_verification, minimum);
}

/**
 * Begins a round for a webhook that has a new URL, if its tenant's mode requires it; the former URL's result is
 * cleared. Undefined if no challenge is to be sent.
 */
export async function beginForNewUrl(
  tx: Tx,
  tenantId: string,
  webhookId: string,
  mode: VerificationMode,
): Promise<number | undefined> {
  const asked = mode !== 'off';
  const row = await tx
    .updateTable('webhooks')
    .set({
      verification_round: sql`verification_round + 1`,
      verification_pending_since: asked ? sql<Date>`now()` : null,
      verification_method: null,
      verification_error: null,
      verified_at: null,
    })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', webhookId)
    .where('deleted_at', 'is', null)
    .returning('verification_round')
    .executeTakeFirstOrThrow();
  await tx
    .updateTable('webhook_gates')
    .set({ unverified: mode === 'required' })
    .where('webhook_id', '=', webhookId)
    .where('unverified', '<>', mode === 'required')
    .execute();
  return asked ? row.verification_round : undefined;
}

/** Begins a round that was asked for; undefined if one is under way, or there is no such webhook. */
export async function beginVerification(tx: Tx, tenantId: string, webhookId: string): Promise<number | undefined> {
  const { rows } = await sql<{ round: number }>`
    update webhooks set verification_round = verification_round + 1, verification_pending_since = now()
    where id = ${webhookId} and tenant_id = ${tenantId} and deleted_at is null
      and coalesce(verification_pending_since < now() - ${VERIFICATION_LIMIT_MS}::int * interval '1 ms', true)
    returning verification_round as round`.execute(tx);
  return rows[0]?.round;
}

/** Those of the webhooks that have a round under way. */
export async function pendingVerifications(db: Queryable, webhookIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    select id from webhooks where id = any(${webhookIds}::uuid[]) and deleted_at is null
      and verification_pending_since > now() - ${VERIFICATION_LIMIT_MS}::int * interval '1 ms'`.execute(db);
  return new Set(rows.map(({ id }) => id));
}

export type VerificationOutcome = { method: VerificationMethod } | { error: string };

/** Ends a round. After a success the gate passes; a failure leaves it, and what was proven before, as it is. */
export async function endVerification(
  db: Queryable,
  webhookId: string,
  round: number,
  outcome: VerificationOutcome,
): Promise<void> {
  const method = 'method' in outcome ? outcome.method : null;
  const error = 'error' in outcome ? outcome.error : null;
  await sql`
    with w as (
      update webhooks set verification_pending_since = null, verification_error = ${error}::text,
        verification_method = coalesce(${method}::text, verification_method),
        verified_at = case when ${method}::text is null then verified_at else now() end
      where id = ${webhookId} and verification_round = ${round} and deleted_at is null
      returning id)
    update webhook_gates g set unverified = false
    from w where g.webhook_id = w.id and g.unverified and ${method}::text is not null`.execute(db);
}

/** A webhook whose endpoint is to be sent a challenge. */
export type Challenged = { tenantId: string; webhook: ChallengedWebhook };

export type ChallengedWebhook = Pick<
  WebhookFacts,
  'id' | 'url' | 'sealedSecrets' | 'sealedHeaders' | 'signatureStyles' | 'signature'
>;

/** What a challenge needs: undefined if the round is over or another has begun. */
export async function loadVerification(
  db: Queryable,
  webhookId: string,
  round: number,
): Promise<Challenged | undefined> {
  const row = await db
    .selectFrom('webhooks as w')
    .select(['w.tenant_id', 'w.id', 'w.url', 'w.sealed_headers', 'w.signature_styles', 'w.signature'])
    .select(sql.raw<WebhookFacts['sealedSecrets'] | null>(sealedSecretsOf('w')).as('secrets'))
    .where('w.id', '=', webhookId)
    .where('w.verification_round', '=', round)
    .where('w.verification_pending_since', 'is not', null)
    .where('w.deleted_at', 'is', null)
    .executeTakeFirst();
  if (!row) return undefined;
  const { id, url, sealed_headers: sealedHeaders, signature_styles: signatureStyles, signature } = row;
  const webhook = { id, url, sealedSecrets: row.secrets ?? [], sealedHeaders, signatureStyles, signature };
  return { tenantId: row.tenant_id, webhook };
}
