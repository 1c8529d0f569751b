import * as auditLog from '../handlers/audit-log';
import { senderAddresses } from '../handlers/sender-addresses';
import * as settings from '../handlers/settings';
import { type Route, route } from '../route';
import { listAuditQuery } from '../schemas/audit-log';
import { patchSettingsBody } from '../schemas/settings';

export const tenantRoutes: Route[] = [
  route({ method: 'get', path: '/settings', scope: 'read', handler: settings.get }),
  route({ method: 'patch', path: '/settings', scope: 'manage', body: patchSettingsBody, handler: settings.patch }),
  route({ method: 'get', path: '/audit-log', scope: 'manage', query: listAuditQuery, handler: auditLog.list }),
  route({ method: 'get', path: '/sender-addresses', scope: 'read', handler: senderAddresses }),
];
