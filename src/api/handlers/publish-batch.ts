import type { z } from 'zod';
import { publishBatch } from '../../db/publish/publish-batch';
import type { BatchEvent, BatchResult } from '../../db/publish/types';
import { toPublicId } from '../../domain/ids';
import { rawItems, rawMember } from '../../domain/raw-member';
import type { Steps, WorkBudget } from '../../domain/work-budget';
import { ApiError, MAX_ERRORS, shortErrors } from '../errors';
import { parseInput } from '../http/read-input';
import { type Preparing, spendForReading, startPreparing, typeKey, withinBudget } from '../publish/prepare-event';
import type { Context, HandlerResult } from '../route';
import { type publishBatchBody, publishBody } from '../schemas/events';
import { toNewEvent } from './events';

/** Errors that one answer names in all. After that, only the first error of each further event is named. */
const MAX_BATCH_ERRORS = 1_000;

type Body = Context<z.output<typeof publishBatchBody>, undefined>;
type Refused = { status: 422; error: { code: 'validation_failed' } & ReturnType<typeof shortErrors> };
/** An event that was parsed, and its text. */
type Read = { event: z.output<typeof publishBody>; text: string };

/**
 * `POST /events/batch`: each event is validated and answered separately. The cost of all events counts against the limit of
 * the request. Over it nothing is published, so that the producer can send the same events in smaller batches.
 */
export async function publish(context: Body): Promise<HandlerResult> {
  const { services, tenantId } = context;
  const createdAt = new Date();
  const refuse = createRefuser();
  const read = await withinBudget('events', async (budget) => {
    const { publishRules } = services;
    const events = await context.inSlices(readAll(context, budget, refuse));
    const rules = await publishRules.of(tenantId);
    const readable = events.filter(isRead).map(({ event }) => event);
    const asked = [...new Map(readable.map((event) => [typeKey(event), event])).values()];
    const found = await rules.ofTypes(asked);
    const types = new Map(asked.map((event, i) => [typeKey(event), found[i]]));
    const preparing = startPreparing(rules, readable, types, budget);
    return context.inSlices(prepareAll(context, events, preparing, createdAt, refuse));
  });
  const good = read.filter((event) => 'body' in event);
  const published = await services.changes.run(tenantId, () => publishBatch(services.db.pool, good));
  if (published.some(({ duplicate }) => !duplicate)) services.notifyWork();
  const results = published.values();
  return {
    status: 202,
    body: { data: read.map((event) => ('body' in event ? toOut(event, results.next().value!) : event)) },
  };
}

function* readAll({ body, bodyText }: Body, budget: WorkBudget, refuse: Refuse): Steps<(Read | Refused)[]> {
  const texts = rawItems(rawMember(bodyText, 'events')!);
  const read: (Read | Refused)[] = [];
  for (const value of body.events) {
    yield;
    const text = texts.next().value as string;
    spendForReading(budget, text);
    try {
      read.push({ event: parseInput(publishBody, value, 'body') as Read['event'], text });
    } catch (error) {
      read.push(refuse(error));
    }
  }
  return read;
}

function* prepareAll(
  { tenantId, idempotencyId }: Body,
  events: (Read | Refused)[],
  preparing: Preparing,
  at: Date,
  refuse: Refuse,
): Steps<(BatchEvent | Refused)[]> {
  const prepared: (BatchEvent | Refused)[] = [];
  for (const [place, one] of events.entries()) {
    yield;
    if (!isRead(one)) {
      prepared.push(one);
      continue;
    }
    try {
      const data = rawMember(one.text, 'data')!;
      const { producerId, ...event } = yield* toNewEvent(preparing, tenantId, one.event, data, at);
      if (producerId !== undefined) prepared.push({ ...event, once: { kind: 'event', key: producerId } });
      else
        prepared.push({
          ...event,
          ...(idempotencyId && { once: { kind: 'request', key: `${idempotencyId}/${place}` } }),
        });
    } catch (error) {
      prepared.push(refuse(error));
    }
  }
  return prepared;
}

const isRead = (one: Read | Refused): one is Read => 'event' in one;

type Refuse = (error: unknown) => Refused;

/** Returns a function that maps an error of one event to that event's result, and rethrows any other error. */
function createRefuser(): Refuse {
  let named = 0;
  return (error) => {
    if (!(error instanceof ApiError)) throw error;
    const shown = shortErrors(error.fields, named < MAX_BATCH_ERRORS ? MAX_ERRORS : 1, error.fieldsOmitted);
    named += shown.errors.length;
    return { status: 422, error: { code: 'validation_failed', ...shown } };
  };
}

function toOut({ once }: BatchEvent, { eventId, deliveries, duplicate }: BatchResult) {
  const id = toPublicId('event', eventId);
  // Published by this same request, before it was interrupted.
  const own = once?.kind === 'request';
  return duplicate && !own ? { status: 200, id, deliveries, duplicate } : { status: 202, id, deliveries };
}
