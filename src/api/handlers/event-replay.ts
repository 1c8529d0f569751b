import type { z } from 'zod';
import { type EventReplayResult, ownWebhooks, replayEvent, webhooksOfEvent } from '../../db/store/event-replay';
import { findEvent, type StoredEvent } from '../../db/store/events';
import { OPERATIONAL_PREFIX } from '../../domain/event-types';
import { toPublicId } from '../../domain/ids';
import { WorkBudget } from '../../domain/work-budget';
import { audited } from '../audited';
import { ApiError, notFound } from '../errors';
import { MAX_PUBLISH_UNITS } from '../publish/prepare-event';
import type { Context, HandlerResult } from '../route';
import type { replayEventBody } from '../schemas/replays';
import type { Services } from '../services';

/** Replays one event, to the given webhooks or to all that have had it or would get it. */
export async function replay(context: Context<z.output<typeof replayEventBody>, undefined>): Promise<HandlerResult> {
  const { services, tenantId, actor, ids, body } = context;
  const event = await findEvent(services.db.kysely, tenantId, ids.event!);
  if (!event) throw notFound('event');
  const webhookIds = body?.webhook_ids
    ? await requireOwn(services, tenantId, [...new Set(body.webhook_ids)])
    : await wantedBy(context, event);
  if (webhookIds.length === 0) return { status: 202, body: { data: [] } };
  const results = await audited(
    context,
    'event.replay',
    toPublicId('event', event.id),
    (tx) => replayEvent(tx, { tenantId, event, webhookIds, askedBy: actor }),
    () => ({ webhook_ids: webhookIds.map((id) => toPublicId('webhook', id)) }),
  );
  services.notifyWork();
  return { status: 202, body: { data: results.map(toOut) } };
}

/** The webhooks that have had the event, and those that would get it if it were published now. */
async function wantedBy(
  { services, tenantId, inSlices }: Context<z.output<typeof replayEventBody>, undefined>,
  event: StoredEvent,
): Promise<string[]> {
  if (event.type.startsWith(OPERATIONAL_PREFIX)) {
    return webhooksOfEvent(services.db.kysely, tenantId, { ...event, version: null, excluded: [] });
  }
  const { version, data } = JSON.parse(event.body.toString('utf8'));
  const { filters } = await services.publishRules.of(tenantId);
  const found = { type: event.type, version, data };
  const excluded = await inSlices(filters.excludedBy(found, new WorkBudget(MAX_PUBLISH_UNITS)));
  return webhooksOfEvent(services.db.kysely, tenantId, { ...event, version, excluded });
}

async function requireOwn({ db }: Services, tenantId: string, given: string[]): Promise<string[]> {
  const own = new Set(await ownWebhooks(db.kysely, tenantId, given));
  const unknown = given.filter((id) => !own.has(id)).map((id) => toPublicId('webhook', id));
  if (unknown.length === 0) return given;
  const fields = unknown.map((id) => ({ field: 'webhook_ids', rule: `must be ids of webhooks; this is not: ${id}` }));
  throw new ApiError('validation_failed', 'There are no such webhooks.', fields);
}

function toOut({ webhookId, deliveryId, result }: EventReplayResult) {
  return { webhook_id: toPublicId('webhook', webhookId), delivery_id: toPublicId('delivery', deliveryId), result };
}
