import * as apiKeys from './handlers/api-keys';
import * as auditLog from './handlers/audit-log';
import * as deadLetters from './handlers/dead-letters';
import * as deliveries from './handlers/deliveries';
import * as eventReplay from './handlers/event-replay';
import * as eventTypes from './handlers/event-types';
import * as events from './handlers/events';
import * as publishBatch from './handlers/publish-batch';
import * as replays from './handlers/replays';
import { senderAddresses } from './handlers/sender-addresses';
import * as settings from './handlers/settings';
import * as tenants from './handlers/tenants';
import * as verification from './handlers/verification';
import * as control from './handlers/webhook-control';
import * as webhooks from './handlers/webhooks';
import { adminRoute, type Route, route } from './route';
import { createApiKeyBody, createTenantBody, listApiKeysQuery, listTenantsQuery } from './schemas/api-keys';
import { listAuditQuery } from './schemas/audit-log';
import { emptyBody, listDeliveriesQuery, listOwnDeliveriesQuery, rescheduleBody } from './schemas/deliveries';
import { addVersionBody, createEventTypeBody, listEventTypesQuery, patchEventTypeBody } from './schemas/event-types';
import { listEventsQuery, publishBatchBody, publishBody } from './schemas/events';
import {
  discardDeadLettersBody,
  listDeadLettersQuery,
  listReplaysQuery,
  replayBody,
  replayDeadLettersBody,
  replayEventBody,
} from './schemas/replays';
import { patchSettingsBody } from './schemas/settings';
import {
  createWebhookBody,
  listWebhooksQuery,
  patchWebhookBody,
  rotateSecretBody,
  verifyQuery,
} from './schemas/webhooks';

const delivery = { delivery: 'delivery' } as const;
const event = { event: 'event' } as const;
const webhook = { webhook: 'webhook' } as const;
const replay = { replay: 'replay' } as const;
const eventType = { name: 'eventTypeName' } as const;
const key = { key: 'apiKey' } as const;
const both = { ...webhook, ...delivery };

const retry = { method: 'post', scope: 'manage', body: emptyBody, handler: deliveries.retry } as const;

const onWebhook = { method: 'post', scope: 'manage', ids: webhook, body: emptyBody } as const;

/** The API. A new endpoint is one more row. The first row that matches a path wins. */
export const routes: Route[] = [
  route({
    method: 'post',
    path: '/events',
    scope: 'publish',
    body: publishBody,
    idempotency: 'own',
    handler: events.publish,
  }),
  route({
    method: 'post',
    path: '/events/batch',
    scope: 'publish',
    body: publishBatchBody,
    handler: publishBatch.publish,
  }),
  route({ method: 'get', path: '/events', scope: 'read', query: listEventsQuery, handler: events.list }),
  route({ method: 'get', path: '/events/:event', scope: 'read', ids: event, handler: events.get }),
  route({
    method: 'get',
    path: '/events/:event/deliveries',
    scope: 'read',
    ids: event,
    query: listOwnDeliveriesQuery,
    handler: deliveries.list,
  }),

  route({ ...retry, path: '/webhooks/deliveries/:delivery/retry', ids: delivery }),
  route({
    method: 'post',
    path: '/webhooks/subscribe',
    scope: 'manage',
    body: createWebhookBody,
    handler: webhooks.create,
  }),
  route({ method: 'post', path: '/webhooks', scope: 'manage', body: createWebhookBody, handler: webhooks.create }),
  route({ method: 'get', path: '/webhooks', scope: 'read', query: listWebhooksQuery, handler: webhooks.list }),
  route({ method: 'get', path: '/webhooks/:webhook', scope: 'read', ids: webhook, handler: webhooks.get }),
  route({
    method: 'patch',
    path: '/webhooks/:webhook',
    scope: 'manage',
    ids: webhook,
    body: patchWebhookBody,
    handler: webhooks.patch,
  }),
  route({ method: 'delete', path: '/webhooks/:webhook', scope: 'manage', ids: webhook, handler: webhooks.remove }),
  route({ ...onWebhook, path: '/webhooks/:webhook/pause', handler: control.pause }),
  route({ ...onWebhook, path: '/webhooks/:webhook/resume', handler: control.resume }),
  route({ ...onWebhook, path: '/webhooks/:webhook/disable', handler: control.disable }),
  route({ ...onWebhook, path: '/webhooks/:webhook/enable', handler: control.enable }),
  route({ ...onWebhook, path: '/webhooks/:webhook/verify', query: verifyQuery, handler: verification.verify }),
  route({ ...onWebhook, path: '/webhooks/:webhook/skip', handler: control.skipHead }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/secret',
    scope: 'manage',
    ids: webhook,
    handler: control.getSecret,
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/secret/rotate',
    scope: 'manage',
    ids: webhook,
    body: rotateSecretBody,
    handler: control.rotate,
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/deliveries',
    scope: 'read',
    ids: webhook,
    query: listOwnDeliveriesQuery,
    handler: deliveries.list,
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/deliveries/:delivery',
    scope: 'read',
    ids: both,
    handler: deliveries.get,
  }),
  route({ ...retry, path: '/webhooks/:webhook/deliveries/:delivery/retry', ids: both }),

  route({ method: 'get', path: '/deliveries', scope: 'read', query: listDeliveriesQuery, handler: deliveries.list }),
  route({ method: 'get', path: '/deliveries/:delivery', scope: 'read', ids: delivery, handler: deliveries.get }),
  route({
    method: 'get',
    path: '/deliveries/:delivery/status',
    scope: 'read',
    ids: delivery,
    handler: deliveries.status,
  }),
  route({ ...retry, path: '/deliveries/:delivery/retry', ids: delivery }),
  route({
    method: 'post',
    path: '/deliveries/:delivery/cancel',
    scope: 'manage',
    ids: delivery,
    body: emptyBody,
    handler: deliveries.cancel,
  }),
  route({
    method: 'post',
    path: '/deliveries/:delivery/reschedule',
    scope: 'manage',
    ids: delivery,
    body: rescheduleBody,
    handler: deliveries.reschedule,
  }),

  route({
    method: 'post',
    path: '/events/:event/replay',
    scope: 'manage',
    ids: event,
    body: replayEventBody,
    handler: eventReplay.replay,
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/replay',
    scope: 'manage',
    ids: webhook,
    body: replayBody,
    handler: replays.create,
  }),
  route({ method: 'get', path: '/replays', scope: 'read', query: listReplaysQuery, handler: replays.list }),
  route({ method: 'get', path: '/replays/:replay', scope: 'read', ids: replay, handler: replays.get }),
  route({
    method: 'post',
    path: '/replays/:replay/cancel',
    scope: 'manage',
    ids: replay,
    body: emptyBody,
    handler: replays.cancel,
  }),
  route({
    method: 'get',
    path: '/dead-letters',
    scope: 'read',
    query: listDeadLettersQuery,
    handler: deadLetters.list,
  }),
  route({
    method: 'post',
    path: '/dead-letters/replay',
    scope: 'manage',
    body: replayDeadLettersBody,
    handler: deadLetters.replay,
  }),
  route({
    method: 'post',
    path: '/dead-letters/discard',
    scope: 'manage',
    body: discardDeadLettersBody,
    handler: deadLetters.discard,
  }),

  route({
    method: 'post',
    path: '/event-types',
    scope: 'manage',
    body: createEventTypeBody,
    handler: eventTypes.create,
  }),
  route({ method: 'get', path: '/event-types', scope: 'read', query: listEventTypesQuery, handler: eventTypes.list }),
  route({ method: 'post', path: '/event-types/seed', scope: 'manage', body: emptyBody, handler: eventTypes.seed }),
  route({ method: 'get', path: '/event-types/:name', scope: 'read', ids: eventType, handler: eventTypes.get }),
  route({
    method: 'patch',
    path: '/event-types/:name',
    scope: 'manage',
    ids: eventType,
    body: patchEventTypeBody,
    handler: eventTypes.patch,
  }),
  route({ method: 'delete', path: '/event-types/:name', scope: 'manage', ids: eventType, handler: eventTypes.remove }),
  route({
    method: 'post',
    path: '/event-types/:name/versions',
    scope: 'manage',
    ids: eventType,
    body: addVersionBody,
    handler: eventTypes.addVersion,
  }),
  route({ method: 'get', path: '/event-types/:name/docs', scope: 'read', ids: eventType, handler: eventTypes.docs }),

  route({ method: 'get', path: '/settings', scope: 'read', handler: settings.get }),
  route({ method: 'patch', path: '/settings', scope: 'manage', body: patchSettingsBody, handler: settings.patch }),
  route({ method: 'get', path: '/audit-log', scope: 'manage', query: listAuditQuery, handler: auditLog.list }),
  route({ method: 'get', path: '/sender-addresses', scope: 'read', handler: senderAddresses }),

  adminRoute({ method: 'post', path: '/tenants', body: createTenantBody, handler: tenants.create }),
  adminRoute({ method: 'get', path: '/tenants', query: listTenantsQuery, handler: tenants.list }),
  adminRoute({ method: 'post', path: '/api-keys', body: createApiKeyBody, handler: apiKeys.create }),
  adminRoute({ method: 'get', path: '/api-keys', query: listApiKeysQuery, handler: apiKeys.list }),
  adminRoute({ method: 'post', path: '/api-keys/:key/revoke', ids: key, body: emptyBody, handler: apiKeys.revoke }),
];
