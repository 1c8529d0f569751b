import * as deliveries from '../handlers/deliveries';
import * as samples from '../handlers/signature-sample';
import * as verification from '../handlers/verification';
import * as control from '../handlers/webhook-control';
import * as tests from '../handlers/webhook-tests';
import * as webhooks from '../handlers/webhooks';
import { type Route, route } from '../route';
import { emptyBody, listOwnDeliveriesQuery } from '../schemas/deliveries';
import { deliveryListOut, webhookTestListOut, webhookTestOut } from '../schemas/out/delivery';
import {
  newWebhookOut,
  rotatedSecretOut,
  secretOut,
  skippedOut,
  webhookListOut,
  webhookOut,
} from '../schemas/out/webhook';
import { sampleBody, sampleOut } from '../schemas/signature-sample';
import {
  createWebhookBody,
  listTestsQuery,
  listWebhooksQuery,
  patchWebhookBody,
  rotateSecretBody,
  testBody,
  waitQuery,
} from '../schemas/webhooks';

const webhook = { webhook: 'webhook' } as const;
const onWebhook = { method: 'post', scope: 'manage', ids: webhook, body: emptyBody } as const;

/** Registering endpoints, and what operators do to them. */
export const webhookRoutes: Route[] = [
  route({
    method: 'post',
    path: '/webhooks/subscribe',
    scope: 'manage',
    body: createWebhookBody,
    permit: 'own',
    handler: webhooks.create,
    doc: {
      tag: 'Webhooks',
      summary: 'Register a webhook',
      answers: { 201: newWebhookOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    method: 'post',
    path: '/webhooks',
    scope: 'manage',
    body: createWebhookBody,
    permit: 'own',
    handler: webhooks.create,
    doc: {
      tag: 'Webhooks',
      summary: 'Register a webhook',
      answers: { 201: newWebhookOut },
      problems: ['state_conflict'],
    },
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
    permit: 'own',
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
    doc: { tag: 'Webhooks', summary: 'Disable a webhook', answers: { 200: webhookOut } },
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
      problems: ['state_conflict'],
    },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/verify',
    permit: 'own',
    query: waitQuery,
    handler: verification.verify,
    doc: {
      tag: 'Webhooks',
      summary: 'Send the endpoint a challenge',
      answers: { 200: webhookOut, 202: webhookOut },
      problems: ['workflow_engine_unavailable'],
    },
  }),
  route({
    ...onWebhook,
    path: '/webhooks/:webhook/test',
    permit: 'own',
    body: testBody,
    query: waitQuery,
    handler: tests.test,
    doc: {
      tag: 'Webhooks',
      summary: 'Send the endpoint a test',
      answers: { 200: webhookTestOut, 202: webhookTestOut },
      problems: ['state_conflict', 'workflow_engine_unavailable'],
    },
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/tests',
    scope: 'read',
    ids: webhook,
    query: listTestsQuery,
    handler: tests.list,
    doc: { tag: 'Webhooks', summary: 'List the tests of a webhook', answers: { 200: webhookTestListOut } },
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/tests/:attempt',
    scope: 'read',
    ids: { ...webhook, attempt: 'attempt' },
    handler: tests.get,
    doc: { tag: 'Webhooks', summary: 'Get a test of a webhook', answers: { 200: webhookTestOut } },
  }),
  route({
    method: 'get',
    path: '/webhooks/:webhook/secret',
    scope: 'manage',
    ids: webhook,
    handler: control.getSecret,
    doc: { tag: 'Webhooks', summary: 'Get the signing secret', answers: { 200: secretOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/secret/rotate',
    scope: 'manage',
    ids: webhook,
    body: rotateSecretBody,
    handler: control.rotate,
    doc: { tag: 'Webhooks', summary: 'Rotate the signing secret', answers: { 200: rotatedSecretOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks/sample',
    scope: 'manage',
    body: sampleBody,
    handler: samples.sample,
    doc: { tag: 'Webhooks', summary: 'Show the headers that settings would send', answers: { 200: sampleOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/sample',
    scope: 'manage',
    ids: webhook,
    body: sampleBody,
    handler: samples.sampleOfWebhook,
    doc: { tag: 'Webhooks', summary: 'Show the headers that a webhook sends', answers: { 200: sampleOut } },
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
];
