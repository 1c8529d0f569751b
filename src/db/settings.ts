import type { VerificationMode } from '../domain/verification';
import type { Queryable, Tx } from './database';

/** What a tenant may decide for all of its webhooks. */
export type TenantSettings = { endpointVerification: VerificationMode };

export async function findSettings(db: Queryable, tenantId: string): Promise<TenantSettings> {
  const row = await db
    .selectFrom('tenants')
    .select('endpoint_verification')
    .where('id', '=', tenantId)
    .executeTakeFirstOrThrow();
  return { endpointVerification: row.endpoint_verification };
}

/**
 * Changes the given settings. Verification that is no longer required lets go of the webhooks that it held; one that
 * becomes required leaves those alone that are in service.
 */
export async function updateSettings(
  tx: Tx,
  tenantId: string,
  { endpointVerification: mode }: Partial<TenantSettings>,
): Promise<TenantSettings> {
  if (mode !== undefined) {
    await tx.updateTable('tenants').set({ endpoint_verification: mode }).where('id', '=', tenantId).execute();
    if (mode !== 'required') {
      await tx
        .updateTable('webhook_gates')
        .set({ unverified: false })
        .where('unverified', '=', true)
        .where('webhook_id', 'in', (eb) => eb.selectFrom('webhooks').select('id').where('tenant_id', '=', tenantId))
        .execute();
    }
  }
  return findSettings(tx, tenantId);
}
