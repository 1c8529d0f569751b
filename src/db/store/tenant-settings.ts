import type { OnUnknown } from '../../domain/event-types';
import { modeInForce, type VerificationMode } from '../../domain/verification';
import type { Queryable, Tx } from '../database';

/** What a tenant may decide for all that it owns. */
export type TenantSettings = {
  unknownEventTypes: OnUnknown;
  unknownEventVersions: OnUnknown;
  /** Read: the mode in force. */
  endpointVerification: VerificationMode;
};

/** What is in force for a tenant; `minimum` is the installation's, below which its endpoint verification never is. */
export async function readSettings(
  db: Queryable,
  tenantId: string,
  minimum: VerificationMode,
): Promise<TenantSettings> {
  const row = await db
    .selectFrom('tenants')
    .select(['unknown_event_types', 'unknown_event_versions', 'endpoint_verification'])
    .where('id', '=', tenantId)
    .executeTakeFirstOrThrow();
  return {
    unknownEventTypes: row.unknown_event_types,
    unknownEventVersions: row.unknown_event_versions,
    endpointVerification: modeInForce(row.endpoint_verification, minimum),
  };
}

/**
 * Changes the given ones; the rest stays. A mode of endpoint verification below `minimum` is kept, for when there is no
 * such minimum any more, and does not count. Verification that is no longer required releases the webhooks that it held;
 * verification that becomes required does not touch webhooks that are in service.
 */
export async function updateSettings(
  tx: Tx,
  tenantId: string,
  { unknownEventTypes, unknownEventVersions, endpointVerification }: Partial<TenantSettings>,
  minimum: VerificationMode,
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
  if (endpointVerification && modeInForce(endpointVerification, minimum) !== 'required') {
    await tx
      .updateTable('webhook_gates')
      .set({ unverified: false })
      .where('unverified', '=', true)
      .where('webhook_id', 'in', (eb) => eb.selectFrom('webhooks').select('id').where('tenant_id', '=', tenantId))
      .execute();
  }
  return readSettings(tx, tenantId, minimum);
}
