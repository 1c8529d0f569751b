import { z } from 'zod';
import { TENANT_SCOPES } from '../../../domain/scopes';
import { listOf, publicId, time } from './common';

export const tenantOut = z
  .strictObject({ id: publicId('tenant'), name: z.string(), created_at: time })
  .meta({ id: 'Tenant' });
export const tenantListOut = listOf(tenantOut, 'tenant');

const apiKey = {
  id: publicId('apiKey'),
  kind: z.enum(['tenant', 'admin']),
  tenant_id: publicId('tenant').nullable(),
  name: z.string().nullable(),
  scopes: z.array(z.enum([...TENANT_SCOPES, 'admin'])),
  created_by: z.string().nullable(),
  created_at: time,
  last_used_at: time.nullable(),
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
};

export const apiKeyOut = z.strictObject(apiKey).meta({ id: 'ApiKey' });
export const apiKeyListOut = listOf(apiKeyOut, 'apiKey');
export const newApiKeyOut = z
  .strictObject({ ...apiKey, key: z.string().meta({ description: 'Shown this once' }) })
  .meta({ id: 'NewApiKey' });
