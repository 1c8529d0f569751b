import type { Kysely } from 'kysely';
import type { OnUnknown } from '../domain/event-types';
import type { Tables } from './tables';

export type TenantSettings = { unknownEventTypes: OnUnknown; unknownEventVersions: OnUnknown };

export async function readSettings(db: Kysely<Tables>, tenantId: string): Promise<TenantSettings> {
  const row = await db
    .selectFrom('tenants')
    .select(['unknown_event_types', 'unknown_event_versions'])
    .where('id', '=', tenantId)
    .executeTakeFirstOrThrow();
  return { unknownEventTypes: row.unknown_event_types, unknownEventVersions: row.unknown_event_versions };
}

/** Changes the given ones; the rest stays. */
export async function updateSettings(db: Kysely<Tables>, tenantId: string, change: Partial<TenantSettings>) {
  const { unknownEventTypes, unknownEventVersions } = change;
  await db
    .updateTable('tenants')
    .set({
      ...(unknownEventTypes && { unknown_event_types: unknownEventTypes }),
      ...(unknownEventVersions && { unknown_event_versions: unknownEventVersions }),
    })
    .where('id', '=', tenantId)
    .execute();
  return readSettings(db, tenantId);
}
