import { z } from 'zod';
import { END_STATES } from '../../domain/delivery';
import { parseRateLimit } from '../../domain/rate-limit';
import { TIMES_OF_DELIVERIES } from '../../domain/replay';
import { distinctList, eventType, formerName, idOf, pageOf, queryTimestamp, timestamp } from './common';
import { rateLimit } from './webhook-policies';

const MAX_EVENT_TYPES = 100;
const MAX_WEBHOOKS = 100;
const MAX_DELIVERIES = 1_000;
/** Failed deliveries wait for an operator, so their window goes further back than that of other lists. */
const DEAD_LETTERS_WINDOW_MS = 90 * 24 * 3_600_000;

/** Parsed to count and milliseconds. */
const rate = rateLimit.transform((text) => parseRateLimit(text)!);

/** Null, as a replay shows it: of every type. */
const eventTypes = distinctList(eventType, 1, MAX_EVENT_TYPES).nullable();

const by = z.enum(TIMES_OF_DELIVERIES).optional().meta({
  description: 'Which time `since` and `until` bound: when its event was published (by default), or when it ended',
});

type Window = { since?: Date | undefined; until?: Date | undefined };

/**
 * Without `until` the window ends now, so a `since` in the future is refused as well. A value that is not a time passes
 * here: its own rule refuses it.
 */
const inOrder = ({ since, until = new Date() }: Window) =>
  !(since instanceof Date && until instanceof Date) || since.getTime() < until.getTime();
const outOfOrder = { path: ['since'], error: 'must be before until' };

const statuses = distinctList(z.enum(END_STATES), 1, END_STATES.length);

export const replayBody = z
  .strictObject({
    since: timestamp,
    until: timestamp.optional(),
    by,
    statuses: statuses.optional().meta({ default: ['failed'] }),
    states: formerName(statuses, 'statuses'),
    event_types: eventTypes.optional(),
    rate_limit: rate.optional(),
  })
  .refine(inOrder, outOfOrder)
  .refine(({ statuses, states }) => statuses === undefined || states === undefined, {
    path: ['states'],
    error: 'must not be given together with `statuses`, of which it is the former name',
  })
  .transform(({ states, ...body }) => ({ ...body, statuses: body.statuses ?? states ?? ['failed' as const] }));

export const listReplaysQuery = z.strictObject(pageOf('replay'));

export const listDeadLettersQuery = z.strictObject({
  ...pageOf('delivery'),
  since: queryTimestamp.optional(),
  until: queryTimestamp.optional(),
  by,
  webhook_id: idOf('webhook').optional(),
  event_type: eventType.optional(),
});

const deadLetters = {
  webhook_id: idOf('webhook').optional(),
  event_types: eventTypes.optional(),
  since: timestamp.optional(),
  until: timestamp.optional(),
  by,
};

export const replayDeadLettersBody = z
  .strictObject({ ...deadLetters, rate_limit: rate.optional() })
  .refine(inOrder, outOfOrder);

export const discardDeadLettersBody = z
  .strictObject({ ...deadLetters, delivery_ids: distinctList(idOf('delivery'), 1, MAX_DELIVERIES).optional() })
  .refine(inOrder, outOfOrder)
  .refine((body) => !body.delivery_ids || Object.keys(body).length === 1, {
    path: ['delivery_ids'],
    error: 'must not be given together with a filter',
  });

export const replayEventBody = z
  .strictObject({ webhook_ids: distinctList(idOf('webhook'), 1, MAX_WEBHOOKS).optional() })
  .optional();

/** The bounds of a filter of dead letters: by default the last 90 days. */
export function deadLettersWindow({ since, until }: Window): { since: Date; until: Date } {
  const end = until ?? new Date();
  return { since: since ?? new Date(end.getTime() - DEAD_LETTERS_WINDOW_MS), until: end };
}
