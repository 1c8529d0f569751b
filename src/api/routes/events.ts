import * as deliveries from '../handlers/deliveries';
import * as events from '../handlers/events';
import * as publishBatch from '../handlers/publish-batch';
import { type Route, route } from '../route';
import { listOwnDeliveriesQuery } from '../schemas/deliveries';
import { listEventsQuery, publishBatchBody, publishBody } from '../schemas/events';
import { deliveryListOut } from '../schemas/out/delivery';
import { duplicateOut, eventListOut, eventOut, publishedBatchOut, publishedOut } from '../schemas/out/event';

const event = { event: 'event' } as const;

/** Publishing, and what was published. */
export const eventRoutes: Route[] = [
  route({
    method: 'post',
    path: '/events',
    scope: 'publish',
    body: publishBody,
    idempotency: 'own',
    permit: 'own',
    handler: events.publish,
    doc: {
      tag: 'Events',
      summary: 'Publish an event',
      answers: { 202: publishedOut, 200: duplicateOut },
      problems: ['publish_too_costly'],
    },
  }),
  route({
    method: 'post',
    path: '/events/batch',
    scope: 'publish',
    permit: 'own',
    body: publishBatchBody,
    handler: publishBatch.publish,
    doc: {
      tag: 'Events',
      summary: 'Publish up to 1,000 events',
      answers: { 202: publishedBatchOut },
      problems: ['publish_too_costly'],
    },
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
];
