import type { z } from 'zod';
import { findSettings, type TenantSettings, updateSettings } from '../../db/settings';
import { audited } from '../audited';
import type { Answer, Context } from '../route';
import type { patchSettingsBody } from '../schemas/settings';

type None = undefined;

const toOut = (settings: TenantSettings) => ({ endpoint_verification: settings.endpointVerification });

export async function get({ services, tenantId }: Context<None, None>): Promise<Answer> {
  return { status: 200, body: toOut(await findSettings(services.db.kysely, tenantId)) };
}

export async function patch(context: Context<z.output<typeof patchSettingsBody>, None>): Promise<Answer> {
  const { services, tenantId, body } = context;
  const settings = await audited(
    context,
    'settings.update',
    'settings',
    (tx) =>
      updateSettings(tx, tenantId, {
        ...(body.endpoint_verification && { endpointVerification: body.endpoint_verification }),
      }),
    () => body,
  );
  // Webhooks that were held may be sent to.
  services.notifyWork();
  return { status: 200, body: toOut(settings) };
}
