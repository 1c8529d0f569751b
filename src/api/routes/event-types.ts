import * as eventTypes from '../handlers/event-types';
import { type Route, route } from '../route';
import { emptyBody } from '../schemas/deliveries';
import { addVersionBody, createEventTypeBody, listEventTypesQuery, patchEventTypeBody } from '../schemas/event-types';
import { eventTypeListOut, eventTypeOut, seededOut } from '../schemas/out/event-type';

const eventType = { name: 'eventTypeName' } as const;

/** What a tenant has described of its events. */
export const eventTypeRoutes: Route[] = [
  route({
    method: 'post',
    path: '/event-types',
    scope: 'manage',
    body: createEventTypeBody,
    handler: eventTypes.create,
    doc: {
      tag: 'Event types',
      summary: 'Create an event type',
      answers: { 201: eventTypeOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    method: 'get',
    path: '/event-types',
    scope: 'read',
    query: listEventTypesQuery,
    handler: eventTypes.list,
    doc: { tag: 'Event types', summary: 'List event types, by name', answers: { 200: eventTypeListOut } },
  }),
  route({
    method: 'post',
    path: '/event-types/seed',
    scope: 'manage',
    body: emptyBody,
    handler: eventTypes.seed,
    doc: {
      tag: 'Event types',
      summary: 'Add the ten standard event types',
      answers: { 200: seededOut },
      problems: ['state_conflict'],
    },
  }),
  route({
    method: 'get',
    path: '/event-types/:name',
    scope: 'read',
    ids: eventType,
    handler: eventTypes.get,
    doc: { tag: 'Event types', summary: 'Get an event type with its versions', answers: { 200: eventTypeOut } },
  }),
  route({
    method: 'patch',
    path: '/event-types/:name',
    scope: 'manage',
    ids: eventType,
    body: patchEventTypeBody,
    handler: eventTypes.patch,
    doc: { tag: 'Event types', summary: 'Change an event type', answers: { 200: eventTypeOut } },
  }),
  route({
    method: 'delete',
    path: '/event-types/:name',
    scope: 'manage',
    ids: eventType,
    handler: eventTypes.remove,
    doc: { tag: 'Event types', summary: 'Delete an event type', answers: { 204: null } },
  }),
  route({
    method: 'post',
    path: '/event-types/:name/versions',
    scope: 'manage',
    ids: eventType,
    body: addVersionBody,
    handler: eventTypes.addVersion,
    doc: {
      tag: 'Event types',
      summary: 'Add a version with its schema',
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
    doc: { tag: 'Event types', summary: 'Get the documentation page of an event type', answers: { 200: 'html' } },
  }),
];
