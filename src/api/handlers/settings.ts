import type { z } from 'zod';
import { readSettings, type TenantSettings, updateSettings } from '../../db/store/tenant-settings';
import { toPublicId } from '../../domain/ids';
import { audited } from '../audited';
import type { Context, HandlerResult } from '../route';
import type { patchSettingsBody } from '../schemas/settings';

type None = undefined;

export async function get({ services, tenantId }: Context<None, None>): Promise<HandlerResult> {
  return { status: 200, body: toOut(await readSettings(services.db.kysely, tenantId, services.minVerification)) };
}

export async function patch(context: Context<z.output<typeof patchSettingsBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, body } = context;
  const change = {
    ...(body.unknown_event_types && { unknownEventTypes: body.unknown_event_types }),
    ...(body.unknown_event_versions && { unknownEventVersions: body.unknown_event_versions }),
    ...(body.endpoint_verification && { endpointVerification: body.endpoint_verification }),
  };
  const settings = await audited(
    context,
    'settings.update',
    toPublicId('tenant', tenantId),
    (tx) => updateSettings(tx, tenantId, change, services.minVerification),
    () => body,
  );
  services.publishRules.invalidate(tenantId);
  // Webhooks whose gate held may pass now.
  services.notifyWork();
  return { status: 200, body: toOut(settings) };
}

function toOut(settings: TenantSettings) {
  return {
    unknown_event_types: settings.unknownEventTypes,
    unknown_event_versions: settings.unknownEventVersions,
    endpoint_verification: settings.endpointVerification,
  };
}
