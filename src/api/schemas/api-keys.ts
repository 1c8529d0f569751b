import { z } from 'zod';
import { DEFAULT_KEY_ENVIRONMENT, KEY_ENVIRONMENT, TENANT_SCOPES } from '../../domain/scopes';
import { durationBetween, idOf, pageOf, shownName } from './common';

const MIN_LIFE_MS = 60_000;
const MAX_LIFE_MS = 3_650 * 86_400_000;

export const createTenantBody = z.strictObject({ name: shownName });

export const listTenantsQuery = z.strictObject(pageOf('tenant'));

const scopes = z
  .array(z.enum(TENANT_SCOPES))
  .min(1)
  .max(TENANT_SCOPES.length)
  .transform((asked) => TENANT_SCOPES.filter((scope) => asked.includes(scope)));

export const createApiKeyBody = z
  .strictObject({
    kind: z.enum(['tenant', 'admin']).default('tenant'),
    tenant_id: idOf('tenant').optional(),
    scopes: scopes.optional(),
    name: shownName.nullable().default(null),
    /** From now on; null: never. */
    expires_in: durationBetween(MIN_LIFE_MS, MAX_LIFE_MS).nullable().default(null),
    environment: z
      .string()
      .regex(KEY_ENVIRONMENT, 'must be 1 to 16 lower-case letters and digits')
      .default(DEFAULT_KEY_ENVIRONMENT),
  })
  .transform(({ kind, tenant_id: tenantId, scopes: asked, ...rest }, context) => {
    if (kind === 'admin') {
      if (tenantId)
        context.addIssue({ code: 'custom', path: ['tenant_id'], message: 'must not be given for an admin key' });
      if (asked) context.addIssue({ code: 'custom', path: ['scopes'], message: 'must not be given for an admin key' });
      return { ...rest, owner: { kind: 'admin' as const } };
    }
    if (tenantId && asked) return { ...rest, owner: { kind: 'tenant' as const, tenantId, scopes: asked } };
    if (!tenantId) context.addIssue({ code: 'custom', path: ['tenant_id'], message: 'must be the id of a tenant' });
    if (!asked) context.addIssue({ code: 'custom', path: ['scopes'], message: 'must be given for a key of a tenant' });
    return z.NEVER;
  })
  .meta({ examples: [{ tenant_id: 'ten_01m84me0xme4gbxcg2xavanzsf', scopes: ['publish', 'read'] }] });

export const listApiKeysQuery = z.strictObject({ ...pageOf('apiKey'), tenant_id: idOf('tenant').optional() });
