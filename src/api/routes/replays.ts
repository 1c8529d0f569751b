import * as deadLetters from '../handlers/dead-letters';
import * as eventReplay from '../handlers/event-replay';
import * as replays from '../handlers/replays';
import { type Route, route } from '../route';
import { emptyBody } from '../schemas/deliveries';
import { deadLetterListOut, discardedOut } from '../schemas/out/dead-letter';
import { eventReplayOut, replayListOut, replayOut, replayProgressOut } from '../schemas/out/replay';
import {
  discardDeadLettersBody,
  listDeadLettersQuery,
  listReplaysQuery,
  replayBody,
  replayDeadLettersBody,
  replayEventBody,
} from '../schemas/replays';

const event = { event: 'event' } as const;
const webhook = { webhook: 'webhook' } as const;
const replay = { replay: 'replay' } as const;

/** Sending again, and dead letters. */
export const replayRoutes: Route[] = [
  route({
    method: 'post',
    path: '/events/:event/replay',
    scope: 'manage',
    ids: event,
    body: replayEventBody,
    handler: eventReplay.replay,
    doc: { tag: 'Replays', summary: 'Replay an event', answers: { 202: eventReplayOut } },
  }),
  route({
    method: 'post',
    path: '/webhooks/:webhook/replay',
    scope: 'manage',
    permit: 'own',
    ids: webhook,
    body: replayBody,
    handler: replays.create,
    doc: {
      tag: 'Replays',
      summary: 'Replay deliveries of a webhook that were published, or that ended, between two times',
      answers: { 202: replayOut },
    },
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
    permit: 'own',
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
    permit: 'own',
    body: replayDeadLettersBody,
    handler: deadLetters.replay,
    doc: { tag: 'Dead letters', summary: 'Replay failed deliveries', answers: { 202: replayOut } },
  }),
  route({
    method: 'post',
    path: '/dead-letters/discard',
    scope: 'manage',
    body: discardDeadLettersBody,
    handler: deadLetters.discard,
    doc: { tag: 'Dead letters', summary: 'Discard failed deliveries', answers: { 200: discardedOut } },
  }),
];
