import * as deliveries from '../handlers/deliveries';
import { type Route, route } from '../route';
import { emptyBody, listAttemptsQuery, listDeliveriesQuery, rescheduleBody } from '../schemas/deliveries';
import {
  attemptListOut,
  deliveryDetailOut,
  deliveryListOut,
  deliveryOut,
  deliveryStatusOut,
} from '../schemas/out/delivery';

const delivery = { delivery: 'delivery' } as const;
const webhook = { webhook: 'webhook' } as const;
const both = { ...webhook, ...delivery };
const retry = { method: 'post', scope: 'manage', permit: 'own', body: emptyBody, handler: deliveries.retry } as const;

/** Deliveries, and what operators do to them. The first row that matches a path wins. */
export const deliveryRoutes: Route[] = [
  route({
    ...retry,
    path: '/webhooks/deliveries/:delivery/retry',
    ids: delivery,
    doc: {
      tag: 'Deliveries',
      summary: 'Retry a delivery now',
      answers: { 202: deliveryOut },
      problems: ['state_conflict'],
    },
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
      problems: ['state_conflict'],
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
    path: '/deliveries/:delivery/attempts',
    scope: 'read',
    ids: delivery,
    query: listAttemptsQuery,
    handler: deliveries.attempts,
    doc: { tag: 'Deliveries', summary: 'List the attempts of a delivery', answers: { 200: attemptListOut } },
  }),
  route({
    method: 'get',
    path: '/deliveries/:delivery/status',
    scope: 'read',
    ids: delivery,
    handler: deliveries.status,
    doc: {
      tag: 'Deliveries',
      summary: 'Get the live status of a delivery',
      answers: { 200: deliveryStatusOut },
    },
  }),
  route({
    ...retry,
    path: '/deliveries/:delivery/retry',
    ids: delivery,
    doc: {
      tag: 'Deliveries',
      summary: 'Retry a delivery now',
      answers: { 202: deliveryOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    method: 'post',
    path: '/deliveries/:delivery/cancel',
    scope: 'manage',
    permit: 'own',
    ids: delivery,
    body: emptyBody,
    handler: deliveries.cancel,
    doc: {
      tag: 'Deliveries',
      summary: 'Cancel a delivery',
      answers: { 202: deliveryOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    method: 'post',
    path: '/deliveries/:delivery/reschedule',
    scope: 'manage',
    permit: 'own',
    ids: delivery,
    body: rescheduleBody,
    handler: deliveries.reschedule,
    doc: {
      tag: 'Deliveries',
      summary: 'Reschedule the next attempt of a delivery',
      answers: { 202: deliveryOut },
      problems: ['state_conflict'],
    },
  }),
];
