import type { z } from 'zod';
import type { NewEvent } from '../../db/publish/types';
import { findEvent, listEvents } from '../../db/store/events';
import { envelope } from '../../domain/envelope';
import { matchingPatterns } from '../../domain/event-types';
import { newUuid, toPublicId } from '../../domain/ids';
import { rawMember } from '../../domain/raw-member';
import type { Steps } from '../../domain/work-budget';
import { ApiError, notFound } from '../errors';
import { answerAgain, answerOnce } from '../http/idempotency';
import { readPage } from '../page';
import { type Preparing, spendForReading, startPreparing, typeKey, withinBudget } from '../publish/prepare-event';
import type { Context, HandlerResult } from '../route';
import { windowBounds } from '../schemas/common';
import type { listEventsQuery, publishBody } from '../schemas/events';
import type { Services } from '../services';

/** Gateways in front of receivers often refuse more. */
const MAX_DATA_BYTES = 256 * 1024;

type None = undefined;

type Body = z.output<typeof publishBody>;

/** `POST /events`. An `Idempotency-Key` is used like the producer's own id: one statement either way. */
export async function publish(context: Context<Body, None>): Promise<HandlerResult> {
  const { services, tenantId, body, idempotencyKey } = context;
  const event = await withinBudget('data', async (budget) => {
    spendForReading(budget, context.bodyText);
    const rules = await services.publishRules.of(tenantId);
    const types = new Map([[typeKey(body), await rules.ofType(body.type, body.version)]]);
    const preparing = startPreparing(rules, [body], types, budget);
    return context.inSlices(toNewEvent(preparing, tenantId, body, rawMember(context.bodyText, 'data')!));
  });
  if (!idempotencyKey || event.producerId !== undefined) return answerOnce(context, () => publishNow(services, event));
  const head = answerHead(event);
  const beforeCount = `${JSON.stringify(head).slice(0, -1)},"deliveries":`;
  const published = await services.publisher.publishOnce(event, { ...idempotencyKey, answerHead: beforeCount });
  if (published.state !== 'published') return answerAgain(context, published);
  services.notifyWork();
  return { status: 202, body: { ...head, deliveries: published.deliveries } };
}

async function publishNow(services: Services, event: NewEvent): Promise<HandlerResult> {
  const published = await services.publisher.publish(event);
  if (!published.duplicate) services.notifyWork();
  return {
    status: published.duplicate ? 200 : 202,
    body: {
      ...answerHead({ ...published, id: published.eventId }),
      deliveries: published.deliveries,
      ...(published.duplicate && { duplicate: true }),
    },
  };
}

const answerHead = ({ id, type, createdAt }: Pick<NewEvent, 'id' | 'type' | 'createdAt'>) => ({
  id: toPublicId('event', id),
  type,
  timestamp: createdAt,
});

/** @throws ApiError validation_failed if the data is too long */
export function requireShortData(dataText: string): void {
  if (Buffer.byteLength(dataText) <= MAX_DATA_BYTES) return;
  throw new ApiError('validation_failed', 'The data of an event is over its limit.', [
    { field: 'data', rule: `must have at most ${MAX_DATA_BYTES} bytes` },
  ]);
}

/**
 * An event as it is stored. `dataText` is its data as received.
 * @throws ApiError validation_failed if the data is too long, or does not match the schema of the type
 * @throws TooCostlyError
 */
export function* toNewEvent(
  preparing: Preparing,
  tenantId: string,
  body: Body,
  dataText: string,
  createdAt = new Date(),
): Steps<NewEvent> {
  requireShortData(dataText);
  const { data, excluded, keyFields } = yield* preparing.prepare(body, dataText);
  const id = newUuid(createdAt.getTime());
  return {
    id,
    tenantId,
    type: body.type,
    body: envelope({ id, type: body.type, version: body.version, createdAt, data }),
    createdAt,
    ...(body.id !== undefined && { producerId: body.id }),
    patterns: matchingPatterns(body.type),
    priority: body.priority,
    version: body.version,
    excluded,
    ...(keyFields.length > 0 && { keyFields }),
  };
}

export async function get({ services, tenantId, ids }: Context<None, None>): Promise<HandlerResult> {
  const event = await findEvent(services.db.kysely, tenantId, ids.event!);
  if (!event) throw notFound('event');
  const payload = event.body.toString('utf8');
  // The stored text is sent as it is: parsing it would round large numbers.
  return {
    status: 200,
    body: { id: toPublicId('event', event.id), type: event.type, timestamp: event.createdAt, payload },
  };
}

export async function list({
  services,
  tenantId,
  query,
  inSlices,
}: Context<None, z.output<typeof listEventsQuery>>): Promise<HandlerResult> {
  const filter = { ...windowBounds(query), type: query.type };
  return {
    status: 200,
    body: await readPage(
      'event',
      query,
      {
        read: (part) => listEvents(services.db.kysely, tenantId, { ...filter, ...part }),
        toOut: ({ id, type, createdAt }) => ({ id: toPublicId('event', id), type, timestamp: createdAt }),
      },
      inSlices,
    ),
  };
}
