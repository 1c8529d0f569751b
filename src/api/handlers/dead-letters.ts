import type { z } from 'zod';
import {
  type DeadLetter,
  type DeadLetterFilter,
  discard as discardById,
  discardDeadLetters,
  listDeadLetters,
} from '../../db/store/dead-letters';
import type { Part } from '../../db/store/scan';
import { findWebhook } from '../../db/store/webhooks';
import { toPublicId, uuidTimeMs } from '../../domain/ids';
import { audited } from '../audited';
import { ApiError } from '../errors';
import { readPage } from '../page';
import type { Context, HandlerResult } from '../route';
import {
  deadLettersWindow,
  type discardDeadLettersBody,
  type listDeadLettersQuery,
  type replayDeadLettersBody,
} from '../schemas/replays';
import { toSendErrorOut } from '../send-error-out';
import { begin } from './replays';

/** Discarded by one statement; the caller repeats the request while there are more. */
const MAX_DISCARDED = 10_000;
/** The target in the audit log of an action on many things. */
const TARGET = 'dead-letters';

type None = undefined;

export async function list({
  services,
  tenantId,
  query,
  inSlices,
}: Context<None, z.output<typeof listDeadLettersQuery>>): Promise<HandlerResult> {
  const filter = {
    ...deadLettersWindow(query),
    ...(query.by && { by: query.by }),
    ...(query.webhook_id && { webhookId: query.webhook_id }),
    ...(query.event_type && { eventTypes: [query.event_type] }),
  };
  const read = (part: Part) => listDeadLetters(services.db.kysely, tenantId, { ...filter, ...part });
  return { status: 200, body: await readPage('delivery', query, { read, toOut }, inSlices) };
}

/** A bulk replay of the failed deliveries that match the filter, of any webhook of the tenant. */
export async function replay(context: Context<z.output<typeof replayDeadLettersBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, body } = context;
  const requireWebhook = async () => {
    if (!body.webhook_id || (await findWebhook(services.db.kysely, tenantId, body.webhook_id))) return;
    throw new ApiError('validation_failed', 'There is no such webhook.', [
      { field: 'webhook_id', rule: 'must be the id of a webhook' },
    ]);
  };
  const { since, until } = deadLettersWindow(body);
  const filter = {
    since: since.toISOString(),
    until: until.toISOString(),
    ...(body.by && { by: body.by }),
    states: ['failed' as const],
    ...(body.event_types && { event_types: body.event_types }),
    dead_letters: true as const,
  };
  return begin(context, { webhookId: body.webhook_id ?? null, filter, rate: body.rate_limit, check: requireWebhook });
}

export async function discard(context: Context<z.output<typeof discardDeadLettersBody>, None>): Promise<HandlerResult> {
  const { tenantId, body } = context;
  const { delivery_ids: ids } = body;
  const filter: DeadLetterFilter = {
    ...deadLettersWindow(body),
    ...(body.by && { by: body.by }),
    ...(body.webhook_id && { webhookId: body.webhook_id }),
    ...(body.event_types && { eventTypes: body.event_types }),
  };
  const done = await audited(
    context,
    'dead_letters.discard',
    TARGET,
    async (tx) =>
      ids
        ? { discarded: await discardById(tx, tenantId, ids), more: false }
        : discardDeadLetters(tx, tenantId, filter, MAX_DISCARDED),
    ({ discarded }) => ({
      discarded,
      ...(ids
        ? { delivery_ids: ids.map((id) => toPublicId('delivery', id)) }
        : { ...filter, ...(filter.webhookId && { webhookId: toPublicId('webhook', filter.webhookId) }) }),
    }),
  );
  if (done.more && done.discarded === 0) {
    const detail = 'None of the dead letters that were looked at match. Ask for a narrower window of time.';
    throw new ApiError('query_too_slow', detail);
  }
  return { status: 200, body: done };
}

function toOut(row: DeadLetter) {
  return {
    id: toPublicId('delivery', row.id),
    event_id: toPublicId('event', row.event_id),
    event_type: row.event_type,
    webhook_id: toPublicId('webhook', row.webhook_id),
    failed_because: row.failed_because,
    last_status_code: row.status_code,
    last_error: toSendErrorOut(row),
    attempt_count: row.attempt_count,
    created_at: new Date(uuidTimeMs(row.id)),
    failed_at: row.failed_at,
  };
}
