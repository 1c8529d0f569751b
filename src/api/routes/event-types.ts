import * as eventTypes from '../handlers/event-types';
import { type Route, route } from '../route';
import { emptyBody } from '../schemas/deliveries';
import { addVersionBody, createEventTypeBody, listEventTypesQuery, patchEventTypeBody } from '../schemas/event-types';

const eventType = { name: 'eventTypeName' } as const;

export const eventTypeRoutes: Route[] = [
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
];
