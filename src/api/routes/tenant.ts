import * as auditLog from '../handlers/audit-log';
import { senderAddresses } from '../handlers/sender-addresses';
import * as settings from '../handlers/settings';
import { type Route, route } from '../route';
import { listAuditQuery } from '../schemas/audit-log';
import { auditListOut } from '../schemas/out/audit-log';
import { senderAddressesOut, settingsOut } from '../schemas/out/tenant';
import { patchSettingsBody } from '../schemas/settings';

export const tenantRoutes: Route[] = [
  route({
    method: 'get',
    path: '/settings',
    scope: 'read',
    handler: settings.get,
    doc: { tag: 'Settings', summary: "Read the tenant's settings", answers: { 200: settingsOut } },
  }),
  route({
    method: 'patch',
    path: '/settings',
    scope: 'manage',
    body: patchSettingsBody,
    handler: settings.patch,
    doc: { tag: 'Settings', summary: "Change the tenant's settings", answers: { 200: settingsOut } },
  }),
  route({
    method: 'get',
    path: '/audit-log',
    scope: 'manage',
    query: listAuditQuery,
    handler: auditLog.list,
    doc: { tag: 'Audit log', summary: 'List who did what', answers: { 200: auditListOut } },
  }),
  route({
    method: 'get',
    path: '/sender-addresses',
    scope: 'read',
    handler: senderAddresses,
    doc: {
      tag: 'Sender addresses',
      summary: 'List the addresses that deliveries come from',
      answers: { 200: senderAddressesOut },
    },
  }),
];
