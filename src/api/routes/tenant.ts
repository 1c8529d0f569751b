import * as auditLog from '../handlers/audit-log';
import { senderAddresses } from '../handlers/sender-addresses';
import * as settings from '../handlers/settings';
import { type Route, route } from '../route';
import { listAuditQuery } from '../schemas/audit-log';
import { auditListOut } from '../schemas/out/audit-log';
import { senderAddressesOut, settingsOut } from '../schemas/out/settings';
import { patchSettingsBody } from '../schemas/settings';

/** A tenant's settings and its audit log. */
export const tenantRoutes: Route[] = [
  route({
    method: 'get',
    path: '/settings',
    scope: 'read',
    handler: settings.get,
    doc: { tag: 'Settings', summary: 'Get the settings of the tenant', answers: { 200: settingsOut } },
  }),
  route({
    method: 'patch',
    path: '/settings',
    scope: 'manage',
    body: patchSettingsBody,
    handler: settings.patch,
    doc: { tag: 'Settings', summary: 'Change the settings of the tenant', answers: { 200: settingsOut } },
  }),
  route({
    method: 'get',
    path: '/audit-log',
    scope: 'manage',
    query: listAuditQuery,
    handler: auditLog.list,
    doc: { tag: 'Audit log', summary: 'List the audit log', answers: { 200: auditListOut } },
  }),
  route({
    method: 'get',
    path: '/sender-addresses',
    scope: 'read',
    handler: senderAddresses,
    doc: {
      tag: 'Settings',
      summary: 'List the addresses that deliveries come from',
      answers: { 200: senderAddressesOut },
    },
  }),
];
