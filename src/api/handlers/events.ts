import type { z } from 'zod';
import { type EventFilter, findEvent, listEvents } from '../../db/events';
import { publishEvent } from '../../db/publish';
import { envelope } from '../../domain/envelope';
import { matchingPatterns } from '../../domain/event-types';
import { newUuid, toPublicId } from '../../domain/ids';
import { ApiError, notFound } from '../errors';
import { page } from '../page';
import { prepareEvent } from '../prepare-event';
import { rawMember } from '../raw-member';
import type { Answer, Context } from '../route';
import { windowBounds } from '../schemas/common';
import type { listEventsQuery, publishBody } from '../schemas/events';

/** Receivers are often behind gateways that refuse more. */
const MAX_DATA_BYTES = 256 * 1024;

type None = undefined;

export async function publish(context: Context<z.output<typeof publishBody>, None>): Promise<Answer> {
  const { services, tenantId, body } = context;
  const data = rawMember(context.bodyText, 'data')!;
  if (Buffer.byteLength(data) > MAX_DATA_BYTES) {
    throw new ApiError('validation_failed', 'The data of an event is over its limit.', [
      { field: 'data', rule: `must have at most ${MAX_DATA_BYTES} bytes` },
    ]);
  }
  const prepared = await prepareEvent(services, tenantId, body, data);
  const createdAt = new Date();
  const id = newUuid(createdAt.getTime());
  const published = await publishEvent(services.db.pool, {
    id,
    tenantId,
    type: body.type,
    body: envelope({ id, type: body.type, version: body.version, createdAt, data: prepared.data }),
    createdAt,
    ...(body.id !== undefined && { producerId: body.id }),
    patterns: matchingPatterns(body.type),
    lane: body.priority,
    version: body.version,
    excluded: prepared.excluded,
    ...(prepared.keyFields.length > 0 && { keyFields: prepared.keyFields }),
  });
  if (!published.duplicate) services.notifyWork();
  return {
    status: published.duplicate ? 200 : 202,
    body: {
      id: toPublicId('event', published.eventId),
      type: published.type,
      timestamp: published.createdAt,
      deliveries: published.deliveries,
      ...(published.duplicate && { duplicate: true }),
    },
  };
}

export async function get({ services, tenantId, ids }: Context<None, None>): Promise<Answer> {
  const event = await findEvent(services.db.kysely, tenantId, ids.event!);
  if (!event) throw notFound('event');
  const payload = event.body.toString('utf8');
  // The stored text goes out as it is: parsing it would round large numbers.
  return {
    status: 200,
    body: { id: toPublicId('event', event.id), type: event.type, timestamp: event.createdAt, payload },
  };
}

export async function list({
  services,
  tenantId,
  query,
}: Context<None, z.output<typeof listEventsQuery>>): Promise<Answer> {
  const filter: EventFilter = {
    ...windowBounds(query),
    limit: query.limit + 1,
    ...(query.cursor && { beforeId: query.cursor }),
    ...(query.type && { type: query.type }),
  };
  const rows = await listEvents(services.db.kysely, tenantId, filter);
  return {
    status: 200,
    body: page('event', rows, query.limit, (row) => ({
      id: toPublicId('event', row.id),
      type: row.type,
      timestamp: row.created_at,
    })),
  };
}
