import type { OnUnknown } from '../domain/event-types';
import type { VerificationMode } from '../domain/verification';
import type { Queryable, Tx } from './database';

/** What a tenant may decide for all that it owns. */
export type TenantSettings = {
  unknownEventTypes: OnUnknown;
  unknownEventVersions: OnUnknown;
  endpointVerification: VerificationMode;
};

export async function readSettings(db: Queryable, tenantId: string): Promise<TenantSettings> {
  const row = await db
    .selectFrom('tenants')
    .select(['unknown_event_types', 'unknown_event_versions', 'endpoint_verification'])
    .where('id', '=', tenantId)
    .executeTakeFirstOrThrow();
  return {
    unknownEventTypes: row.unknown_event_types,
    unknownEventVersions: row.unknown_event_versions,
    endpointVerification: row.endpoint_verification,
  };
}

/**
 * Changes the given ones; the rest stays. Verification that is no longer required lets go of the webhooks that it held;
 * one that becomes required leaves those alone that are in service.
 */
export async function updateSettings(
  tx: Tx,
  tenantId: string,
  { unknownEventTypes, unknownEventVersions, endpointVerification }: Partial<TenantSettings>,
): Promise<TenantSettings> {
  await tx
    .updateTable('tenants')
    .set({
      ...(unknownEventTypes && { unknown_event_types: unknownEventTypes }),
      ...(unknownEventVersions && { unknown_event_versions: unknownEventVersions }),
      ...(endpointVerification && { endpoint_verification: endpointVerification }),
    })
    .where('id', '=', tenantId)
    .execute();
  if (endpointVerification && endpointVerification !== 'required') {
    await tx
      .updateTable('webhook_gates')
      .set({ unverified: false })
      .where('unverified', '=', true)
      .where('webhook_id', 'in', (eb) => eb.selectFrom('webhooks').select('id').where('tenant_id', '=', tenantId))
      .execute();
  }
  return readSettings(tx, tenantId);
}
