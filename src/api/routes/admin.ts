import * as apiKeys from '../handlers/api-keys';
import * as tenants from '../handlers/tenants';
import { adminRoute, type Route } from '../route';
import { createApiKeyBody, createTenantBody, listApiKeysQuery, listTenantsQuery } from '../schemas/api-keys';
import { emptyBody } from '../schemas/deliveries';

const key = { key: 'apiKey' } as const;

export const adminRoutes: Route[] = [
  adminRoute({ method: 'post', path: '/tenants', body: createTenantBody, handler: tenants.create }),
  adminRoute({ method: 'get', path: '/tenants', query: listTenantsQuery, handler: tenants.list }),
  adminRoute({ method: 'post', path: '/api-keys', body: createApiKeyBody, handler: apiKeys.create }),
  adminRoute({ method: 'get', path: '/api-keys', query: listApiKeysQuery, handler: apiKeys.list }),
  adminRoute({ method: 'post', path: '/api-keys/:key/revoke', ids: key, body: emptyBody, handler: apiKeys.revoke }),
];
