import * as apiKeys from '../handlers/api-keys';
import * as tenants from '../handlers/tenants';
import { adminRoute, type Route } from '../route';
import { createApiKeyBody, createTenantBody, listApiKeysQuery, listTenantsQuery } from '../schemas/api-keys';
import { emptyBody } from '../schemas/deliveries';
import { apiKeyListOut, apiKeyOut, newApiKeyOut, tenantListOut, tenantOut } from '../schemas/out/api-key';

const key = { key: 'apiKey' } as const;

/** Tenants and their keys, for admin keys. */
export const adminRoutes: Route[] = [
  adminRoute({
    method: 'post',
    path: '/tenants',
    body: createTenantBody,
    handler: tenants.create,
    doc: { tag: 'Tenants and keys', summary: 'Create a tenant', answers: { 201: tenantOut } },
  }),
  adminRoute({
    method: 'get',
    path: '/tenants',
    query: listTenantsQuery,
    handler: tenants.list,
    doc: { tag: 'Tenants and keys', summary: 'List tenants', answers: { 200: tenantListOut } },
  }),
  adminRoute({
    method: 'post',
    path: '/api-keys',
    body: createApiKeyBody,
    handler: apiKeys.create,
    doc: { tag: 'Tenants and keys', summary: 'Create an API key', answers: { 201: newApiKeyOut } },
  }),
  adminRoute({
    method: 'get',
    path: '/api-keys',
    query: listApiKeysQuery,
    handler: apiKeys.list,
    doc: { tag: 'Tenants and keys', summary: 'List API keys', answers: { 200: apiKeyListOut } },
  }),
  adminRoute({
    method: 'post',
    path: '/api-keys/:key/revoke',
    ids: key,
    body: emptyBody,
    handler: apiKeys.revoke,
    doc: { tag: 'Tenants and keys', summary: 'Revoke an API key', answers: { 200: apiKeyOut } },
  }),
];
