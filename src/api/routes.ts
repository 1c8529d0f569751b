import type { ProblemCode } from './errors';
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
import { deadLetterListOut, discardedOut } from './schemas/out/dead-letter';
import { deliveryDetailOut, deliveryListOut, deliveryOut, deliveryStatusOut } from './schemas/out/delivery';
import { duplicateOut, eventListOut, eventOut, publishedOut } from './schemas/out/event';
import { eventReplayOut, replayListOut, replayOut, replayProgressOut } from './schemas/out/replay';
import {
  newWebhookOut,
  rotatedSecretOut,
  secretOut,
  skippedOut,
  webhookListOut,
  webhookOut,
} from './schemas/out/webhook';
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

/** What an operator's wish for a delivery can meet. */
const ENGINE: ProblemCode[] = ['state_conflict', 'engine_unavailable'];

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
    doc: { tag: 'Events', summary: 'Publish an event', answers: { 202: publishedOut, 200: duplicateOut } },
  }),
  route({
    method: 'post',
    path: '/events/batch',
    scope: 'publish',
    body: publishBatchBody,
    handler: publishBatch.publish,
  }),
  route({
    method: 'get',
    path: '/events',
    scope: 'read',
    query: listEventsQuery,
    handler: events.list,
    doc: { tag: 'Events', summary: 'List events', answers: { 200: eventListOut } },
  }),
  route({
    method: 'get',
    path: '/events/:event',
    scope: 'read',
    ids: event,
    handler: events.get,
    doc: { tag: 'Events', summary: 'Get an event with what its receivers get', answers: { 200: eventOut } },
  }),
  route({
    method: 'get',
    path: '/events/:event/deliveries',
    scope: 'read',
    ids: event,
    query: listOwnDeliveriesQuery,
    handler: deliveries.list,
    doc: { tag: 'Events', summary: 'List the deliveries of an event', answers: { 200: deliveryListOut } },
  }),

  route({
    ...retry,
    path: '/webhooks/deliveries/:delivery/retry',
    ids: delivery,
    doc: { tag: 'Deliveries', summary: 'Retry a delivery now', answers: { 202: deliveryOut }, problems: ENGINE },
  }),
  route({
    method: 'post',
    path: '/webhooks/subscribe',
    scope: 'manage',
    body: createWebhookBody,
    handler: webhooks.create,
    doc: { tag: 'Webhooks', summary: 'Register a webhook', answers: { 201: newWebhookOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks',
    scope: 'manage',
    body: createWebhookBody,
    handler: webhooks.create,
    doc: { tag: 'Webhooks', summary: 'Register a webhook', answers: { 201: newWebhookOut } },
  }),
  route({
    method: 'get',
    path: '/webhooks',
    scope: 'read',
    query: listWebhooksQuery,
    handler: webhooks.list,
    doc: { tag: 'Webhooks', summary: 'List webhooks', answers: { 200: webhookListOut } },
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook',
    scope: 'read',
    ids: webhook,
    handler: webhooks.get,
    doc: { tag: 'Webhooks', summary: 'Get a webhook', answers: { 200: webhookOut } },
  }),
  route({
    method: 'patch',
    path: '/webhooks/:webhook',
    scope: 'manage',
    ids: webhook,
    body: patchWebhookBody,
    handler: webhooks.patch,
    doc: {
      tag: 'Webhooks',
      summary: 'Change a webhook',
      answers: { 200: webhookOut },
      problems: ['precondition_failed'],
    },
  }),
  route({
    method: 'delete',
    path: '/webhooks/:webhook',
    scope: 'manage',
    ids: webhook,
    handler: webhooks.remove,
    doc: {
      tag: 'Webhooks',
      summary: 'Delete a webhook',
      answers: { 204: null },
      problems: ['precondition_failed'],
    },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/pause',
    handler: control.pause,
    doc: {
      tag: 'Webhooks',
      summary: 'Pause a webhook: its deliveries are held',
      answers: { 200: webhookOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/resume',
    handler: control.resume,
    doc: {
      tag: 'Webhooks',
      summary: 'Resume a paused webhook',
      answers: { 200: webhookOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/disable',
    handler: control.disable,
    doc: { tag: 'Webhooks', summary: 'Take a webhook out of service', answers: { 200: webhookOut } },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/enable',
    handler: control.enable,
    doc: {
      tag: 'Webhooks',
      summary: 'Enable a disabled webhook',
      answers: { 200: webhookOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/skip',
    handler: control.skipHead,
    doc: {
      tag: 'Webhooks',
      summary: 'Cancel the delivery that an ordered webhook waits for',
      answers: { 202: skippedOut },
      problems: ENGINE,
    },
  }),
  route({ ...onWebhook, path: '/webhooks/:webhook/verify', query: verifyQuery, handler: verification.verify }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/secret',
    scope: 'manage',
    ids: webhook,
    handler: control.getSecret,
    doc: { tag: 'Webhooks', summary: 'Read the secret that signs', answers: { 200: secretOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/secret/rotate',
    scope: 'manage',
    ids: webhook,
    body: rotateSecretBody,
    handler: control.rotate,
    doc: { tag: 'Webhooks', summary: 'Sign with a new secret', answers: { 200: rotatedSecretOut } },
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/deliveries',
    scope: 'read',
    ids: webhook,
    query: listOwnDeliveriesQuery,
    handler: deliveries.list,
    doc: { tag: 'Webhooks', summary: 'List the deliveries of a webhook', answers: { 200: deliveryListOut } },
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/deliveries/:delivery',
    scope: 'read',
    ids: both,
    handler: deliveries.get,
    doc: { tag: 'Deliveries', summary: 'Get a delivery of a webhook', answers: { 200: deliveryDetailOut } },
  }),
  route({
    ...retry,
    path: '/webhooks/:webhook/deliveries/:delivery/retry',
    ids: both,
    doc: {
      tag: 'Deliveries',
      summary: 'Retry a delivery of a webhook now',
      answers: { 202: deliveryOut },
      problems: ENGINE,
    },
  }),

  route({
    method: 'get',
    path: '/deliveries',
    scope: 'read',
    query: listDeliveriesQuery,
    handler: deliveries.list,
    doc: { tag: 'Deliveries', summary: 'List deliveries', answers: { 200: deliveryListOut } },
  }),
  route({
    method: 'get',
    path: '/deliveries/:delivery',
    scope: 'read',
    ids: delivery,
    handler: deliveries.get,
    doc: { tag: 'Deliveries', summary: 'Get a delivery with its attempts', answers: { 200: deliveryDetailOut } },
  }),
  route({
    method: 'get',
    path: '/deliveries/:delivery/status',
    scope: 'read',
    ids: delivery,
    handler: deliveries.status,
    doc: {
      tag: 'Deliveries',
      summary: 'Ask the running workflow how a delivery is',
      answers: { 200: deliveryStatusOut },
    },
  }),
  route({
    ...retry,
    path: '/deliveries/:delivery/retry',
    ids: delivery,
    doc: { tag: 'Deliveries', summary: 'Retry a delivery now', answers: { 202: deliveryOut }, problems: ENGINE },
  }),
  route({
    method: 'post',
    path: '/deliveries/:delivery/cancel',
    scope: 'manage',
    ids: delivery,
    body: emptyBody,
    handler: deliveries.cancel,
    doc: { tag: 'Deliveries', summary: 'Cancel a delivery', answers: { 202: deliveryOut }, problems: ENGINE },
  }),
  route({
    method: 'post',
    path: '/deliveries/:delivery/reschedule',
    scope: 'manage',
    ids: delivery,
    body: rescheduleBody,
    handler: deliveries.reschedule,
    doc: {
      tag: 'Deliveries',
      summary: 'Move the next attempt of a delivery',
      answers: { 202: deliveryOut },
      problems: ENGINE,
    },
  }),

  route({
    method: 'post',
    path: '/events/:event/replay',
    scope: 'manage',
    ids: event,
    body: replayEventBody,
    handler: eventReplay.replay,
    doc: { tag: 'Replays', summary: 'Send an event again', answers: { 202: eventReplayOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/replay',
    scope: 'manage',
    ids: webhook,
    body: replayBody,
    handler: replays.create,
    doc: { tag: 'Replays', summary: 'Send again what ended between two times', answers: { 202: replayOut } },
  }),
  route({
    method: 'get',
    path: '/replays',
    scope: 'read',
    query: listReplaysQuery,
    handler: replays.list,
    doc: { tag: 'Replays', summary: 'List bulk replays', answers: { 200: replayListOut } },
  }),
  route({
    method: 'get',
    path: '/replays/:replay',
    scope: 'read',
    ids: replay,
    handler: replays.get,
    doc: { tag: 'Replays', summary: 'Get a bulk replay with its progress', answers: { 200: replayProgressOut } },
  }),
  route({
    method: 'post',
    path: '/replays/:replay/cancel',
    scope: 'manage',
    ids: replay,
    body: emptyBody,
    handler: replays.cancel,
    doc: { tag: 'Replays', summary: 'Cancel a bulk replay', answers: { 202: replayOut }, problems: ['state_conflict'] },
  }),
  route({
    method: 'get',
    path: '/dead-letters',
    scope: 'read',
    query: listDeadLettersQuery,
    handler: deadLetters.list,
    doc: { tag: 'Dead letters', summary: 'List failed deliveries', answers: { 200: deadLetterListOut } },
  }),
  route({
    method: 'post',
    path: '/dead-letters/replay',
    scope: 'manage',
    body: replayDeadLettersBody,
    handler: deadLetters.replay,
    doc: { tag: 'Dead letters', summary: 'Send failed deliveries again', answers: { 202: replayOut } },
  }),
  route({
    method: 'post',
    path: '/dead-letters/discard',
    scope: 'manage',
    body: discardDeadLettersBody,
    handler: deadLetters.discard,
    doc: { tag: 'Dead letters', summary: 'Discard failed deliveries', answers: { 200: discardedOut } },
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
