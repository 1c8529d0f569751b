import type { z } from 'zod';
import { type Attempt, listAttempts } from '../../db/store/attempts';
import { type Delivery, findDelivery, listDeliveries } from '../../db/store/deliveries';
import { findEvent } from '../../db/store/events';
import type { Part } from '../../db/store/scan';
import { findWebhook } from '../../db/store/webhooks';
import { toPublicId, uuidTimeMs } from '../../domain/ids';
import { minimalBody } from '../../domain/minimal-payload';
import { sentBody } from '../../domain/sent-as';
import { cancelNow, rescheduleTo, retryNow } from '../delivery-commands';
import { notFound } from '../errors';
import { JsonText } from '../http/json-text';
import { fill, readPage } from '../page';
import type { Context, HandlerResult } from '../route';
import { windowBounds } from '../schemas/common';
import type { listAttemptsQuery, listDeliveriesQuery, rescheduleBody } from '../schemas/deliveries';
import { toSendErrorOut } from '../send-error-out';
import type { Services } from '../services';
import { toShownBody } from '../shown-body';
import { queryWorkflow } from '../temporal/query-workflow';

/** Attempts in the answer for one delivery. Few have more; their answer has a cursor for the older ones. */
const ATTEMPTS_SHOWN = 100;
/** Rows per statement: each may have headers, and 16 KiB of the receiver's answer. */
const ATTEMPTS_AT_ONCE = 10;

type None = undefined;
type Query = Omit<z.output<typeof listDeliveriesQuery>, 'webhook_id'> & { webhook_id?: string | undefined };

export async function list({ services, tenantId, ids, query, inSlices }: Context<None, Query>): Promise<HandlerResult> {
  const { kysely } = services.db;
  if (ids.webhook && !(await findWebhook(kysely, tenantId, ids.webhook))) throw notFound('webhook');
  if (ids.event && !(await findEvent(kysely, tenantId, ids.event))) throw notFound('event');
  const webhookId = ids.webhook ?? query.webhook_id;
  const filter = {
    ...windowOf(query, ids.event),
    ...(query.status && { state: query.status }),
    ...(query.event_type && { eventType: query.event_type }),
    ...(ids.event && { eventId: ids.event }),
    ...(webhookId && { webhookId }),
  };
  const read = (part: Part) => listDeliveries(kysely, tenantId, { ...filter, ...part });
  return { status: 200, body: await readPage('delivery', query, { read, toOut }, inSlices) };
}

/** The deliveries of an event have its time in their ids, so no time window is needed to find them. */
function windowOf(query: Query, eventId: string | undefined) {
  if (!eventId || query.since || query.until) return windowBounds(query);
  const at = uuidTimeMs(eventId);
  return { since: new Date(at), until: new Date(at + 1) };
}

export async function get(context: Context<None, None>): Promise<HandlerResult> {
  const { services, tenantId, ids, inSlices } = context;
  const delivery = await find(services, tenantId, ids);
  const stored = await storedBody(services, tenantId, delivery);
  const webhookId = toPublicId('webhook', delivery.webhookId);
  const deliveryId = toPublicId('delivery', delivery.id);
  let isNewest = true;
  /** The newest comes first, with the request body. */
  const toOutWithBody = (attempt: Attempt) => {
    if (!isNewest) return toAttemptOut(attempt);
    isNewest = false;
    const sent = stored && sentBody(stored, attempt.sent_as, { webhookId, deliveryId });
    return toAttemptOut(attempt, sent?.toString('utf8') ?? (stored ? undefined : ''));
  };
  const reading = { ...readingOf(services, tenantId, delivery, delivery.attemptCount), toOut: toOutWithBody };
  const { items, next } = await fill({ limit: ATTEMPTS_SHOWN }, reading, inSlices);
  const uiUrl = services.deliveryWorkflows.uiUrl(delivery.id);
  return {
    status: 200,
    body: JsonText.object({
      ...toOut(delivery),
      attempts: JsonText.list(items.reverse()),
      attempts_cursor: next === undefined ? null : toPublicId('attempt', next),
      workflow: { id: toPublicId('delivery', delivery.id), ...(uiUrl && { ui_url: uiUrl }) },
    }),
  };
}

/** What the bodies of a delivery are made from: the event, or its minimal form if the webhook's payload is `minimal`. */
async function storedBody(
  { db }: Services,
  tenantId: string,
  { eventId, minimal }: Delivery,
): Promise<Buffer | undefined> {
  const event = await findEvent(db.kysely, tenantId, eventId);
  return event && (minimal ? minimalBody(event.body, event.keyFields) : event.body);
}

/** `GET /deliveries/{delivery}/attempts`: all of them, newest first. */
export async function attempts(context: Context<None, z.output<typeof listAttemptsQuery>>): Promise<HandlerResult> {
  const { services, tenantId, ids, query, inSlices } = context;
  const delivery = await find(services, tenantId, ids);
  const reading = { ...readingOf(services, tenantId, delivery), toOut: (attempt: Attempt) => toAttemptOut(attempt) };
  return { status: 200, body: await readPage('attempt', query, reading, inSlices) };
}

/** @param count of the attempts that are to be seen: one that was recorded since the delivery was read is none of them */
const readingOf = ({ db }: Services, tenantId: string, { id }: Delivery, count?: number) => ({
  read: (part: Part) => listAttempts(db.kysely, tenantId, id, { ...part, count }),
  atOnce: ATTEMPTS_AT_ONCE,
});

/**
 * The status from the workflow, if one should be running. In every other case, and if the two differ, the status is that
 * in Postgres: a workflow that waits for a free slot does not know that it does.
 */
export async function status({ services, tenantId, ids }: Context<None, None>): Promise<HandlerResult> {
  const delivery = await find(services, tenantId, ids);
  const running = delivery.state === 'retrying' || delivery.state === 'in_progress';
  const live = running
    ? await queryWorkflow(services, tenantId, () => services.deliveryWorkflows.status(delivery.id))
    : undefined;
  if (live?.state !== delivery.state) {
    const { id, status, attempt_count, next_attempt_at, held_because } = toOut(delivery);
    return {
      status: 200,
      body: { id, status, ...(held_because && { held_because }), attempt_count, next_attempt_at, source: 'database' },
    };
  }
  return {
    status: 200,
    body: {
      id: toPublicId('delivery', delivery.id),
      status: live.state,
      // The attempts that are listed: the workflow is a moment behind what was recorded.
      attempt_count: delivery.attemptCount,
      next_attempt_at: live.nextAttemptAtMs === undefined ? null : new Date(live.nextAttemptAtMs),
      ...(live.last && {
        last_attempt: {
          number: live.last.number,
          status_code: live.last.statusCode ?? null,
          error_code: live.last.errorCode ?? null,
        },
      }),
      source: 'workflow',
    },
  };
}

export async function retry({ services, tenantId, actor, ids }: Context<unknown, None>): Promise<HandlerResult> {
  const delivery = await find(services, tenantId, ids);
  await retryNow(services, delivery, { tenantId, actor });
  return accepted(services, tenantId, delivery.id);
}

export async function cancel({ services, tenantId, actor, ids }: Context<unknown, None>): Promise<HandlerResult> {
  const delivery = await find(services, tenantId, ids);
  await cancelNow(services, delivery, { tenantId, actor });
  return accepted(services, tenantId, delivery.id);
}

export async function reschedule(context: Context<z.output<typeof rescheduleBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, actor, ids, body } = context;
  const delivery = await find(services, tenantId, ids);
  await rescheduleTo(services, delivery, body.at, { tenantId, actor });
  return accepted(services, tenantId, delivery.id);
}

async function accepted(services: Services, tenantId: string, id: string): Promise<HandlerResult> {
  return { status: 202, body: toOut((await findDelivery(services.db.kysely, tenantId, id))!) };
}

async function find(services: Services, tenantId: string, ids: Record<string, string>): Promise<Delivery> {
  const delivery = await findDelivery(services.db.kysely, tenantId, ids.delivery!);
  if (!delivery || (ids.webhook && delivery.webhookId !== ids.webhook)) throw notFound('delivery');
  return delivery;
}

function toOut(delivery: Delivery) {
  return {
    id: toPublicId('delivery', delivery.id),
    event_id: toPublicId('event', delivery.eventId),
    event_type: delivery.eventType,
    webhook_id: toPublicId('webhook', delivery.webhookId),
    status: delivery.state,
    ...(delivery.heldBecause && { held_because: delivery.heldBecause }),
    ...(delivery.failedBecause && { failed_because: delivery.failedBecause }),
    attempt_count: delivery.attemptCount,
    path: delivery.path,
    next_attempt_at: delivery.nextAttemptAt,
    last_status_code: delivery.lastStatus,
    last_error_code: delivery.lastError,
    last_attempt_at: delivery.lastAttemptAt,
    response_time_ms: delivery.responseTimeMs,
    created_at: new Date(uuidTimeMs(delivery.id)),
    ended_at: delivery.endedAt,
    delivered_at: delivery.state === 'delivered' ? delivery.endedAt : null,
  };
}

/** @param body the request body, if it is to be shown */
export function toAttemptOut(attempt: Attempt, body?: string) {
  return {
    id: toPublicId('attempt', attempt.id),
    number: attempt.number,
    trigger: attempt.trigger,
    started_at: attempt.started_at,
    duration_ms: attempt.duration_ms,
    outcome: attempt.outcome,
    status_code: attempt.status_code,
    error: toSendErrorOut(attempt),
    request: { headers: attempt.request_headers, ...(body !== undefined && { body }) },
    response: attempt.status_code
      ? {
          headers: attempt.response_headers ?? {},
          ...toShownBody(attempt.response_body, attempt.response_cut),
          cut: attempt.response_cut,
        }
      : null,
    remote_address: attempt.remote_address,
  };
}
