import type { z } from 'zod';
import { type BatchEvent, type BatchResult, publishBatch } from '../../db/publish-batch';
import { toPublicId } from '../../domain/ids';
import { rawItems, rawMember } from '../../domain/raw-member';
import { ApiError, type FieldProblem, MAX_ERRORS, shortErrors } from '../errors';
import { parseInput } from '../read-input';
import type { Answer, Context } from '../route';
import { type publishBatchBody, publishBody } from '../schemas/events';
import { toNewEvent } from './events';

/** An event that breaks a rule, and what is wrong with it. */
type Refused = { fields: FieldProblem[] };

/** Errors that one answer names in all; once there are so many, each further event has its first one only. */
const MAX_BATCH_ERRORS = 1_000;

/** `POST /events/batch`: each event is looked at and answered for itself. */
export async function publish(context: Context<z.output<typeof publishBatchBody>, undefined>): Promise<Answer> {
  const { services, tenantId, body } = context;
  const createdAt = new Date();
  const texts = rawItems(rawMember(context.bodyText, 'events')!);
  const read = await Promise.all(
    body.events.map((event, place) => readEvent(context, event, texts[place]!, place, createdAt)),
  );
  const good = read.filter((event) => 'body' in event);
  const published = await publishBatch(services.db.pool, good);
  if (published.some(({ duplicate }) => !duplicate)) services.notifyWork();
  const results = published.values();
  let errors = 0;
  return {
    status: 202,
    body: { data: read.map((event) => ('body' in event ? toOut(event, results.next().value!) : toRefusal(event))) },
  };

  function toRefusal({ fields }: Refused) {
    const shown = shortErrors(fields, errors < MAX_BATCH_ERRORS ? MAX_ERRORS : 1);
    errors += shown.errors.length;
    return { status: 422, error: { code: 'validation_failed' as const, ...shown } };
  }

  function toOut({ once }: BatchEvent, { eventId, deliveries, duplicate }: BatchResult) {
    const id = toPublicId('event', eventId);
    // Published by this very request, before it was cut short.
    const own = once?.kind === 'request';
    return duplicate && !own ? { status: 200, id, deliveries, duplicate } : { status: 202, id, deliveries };
  }

  async function readEvent(
    { onceId }: Pick<typeof context, 'onceId'>,
    value: unknown,
    text: string,
    place: number,
    at: Date,
  ): Promise<BatchEvent | Refused> {
    try {
      const parsed = parseInput(publishBody, value, 'body') as z.output<typeof publishBody>;
      const { producerId, ...event } = await toNewEvent(services, tenantId, parsed, rawMember(text, 'data')!, at);
      if (producerId !== undefined) return { ...event, once: { kind: 'event', key: producerId } };
      return { ...event, ...(onceId && { once: { kind: 'request', key: `${onceId}/${place}` } }) };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { fields: error.fields };
    }
  }
}
