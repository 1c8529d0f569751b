import * as eventTypes from '../handlers/event-types';
import { type Route, route } from '../route';
import { emptyBody } from '../schemas/deliveries';
import { addVersionBody, createEventTypeBody, listEventTypesQuery, patchEventTypeBody } from '../schemas/event-types';
import { eventTypeListOut, eventTypeOut, seededOut } from '../schemas/out/event-type';

const eventType = { name: 'eventTypeName' } as const;

const tag = 'Event types';

export const eventTypeRoutes: Route[] = [
  route({
    method: 'post',
    path: '/event-types',
    scope: 'manage',
    body: createEventTypeBody,
    handler: eventTypes.create,
    doc: { tag, summary: 'Describe an event type', answers: { 201: eventTypeOut }, problems: ['state_conflict'] },
  }),
  route({
    method: 'get',
    path: '/event-types',
    scope: 'read',
    query: listEventTypesQuery,
    handler: eventTypes.list,
    doc: { tag, summary: 'List event types by name', answers: { 200: eventTypeListOut } },
  }),
  route({
    method: 'post',
    path: '/event-types/seed',
    scope: 'manage',
    body: emptyBody,
    handler: eventTypes.seed,
    doc: { tag, summary: 'Add ten common event types', answers: { 200: seededOut }, problems: ['state_conflict'] },
  }),
  route({
    method: 'get',
    path: '/event-types/:name',
    scope: 'read',
    ids: eventType,
    handler: eventTypes.get,
    doc: { tag, summary: 'Get an event type with its versions', answers: { 200: eventTypeOut } },
  }),
  route({
    method: 'patch',
    path: '/event-types/:name',
    scope: 'manage',
    ids: eventType,
    body: patchEventTypeBody,
    handler: eventTypes.patch,
    doc: { tag, summary: 'Change an event type', answers: { 200: eventTypeOut } },
  }),
  route({
    method: 'delete',
    path: '/event-types/:name',
    scope: 'manage',
    ids: eventType,
    handler: eventTypes.remove,
    doc: { tag, summary: 'Delete an event type with its versions', answers: { 204: null } },
  }),
  route({
    method: 'post',
    path: '/event-types/:name/versions',
    scope: 'manage',
    ids: eventType,
    body: addVersionBody,
    handler: eventTypes.addVersion,
    doc: {
      tag,
      summary: 'Add a version, with its schema and an example',
      answers: { 201: eventTypeOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    method: 'get',
    path: '/event-types/:name/docs',
    scope: 'read',
    ids: eventType,
    handler: eventTypes.docs,
    doc: { tag, summary: 'Read about an event type: a page for people', answers: { 200: 'html' } },
  }),
];
