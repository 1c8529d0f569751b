import type { z } from 'zod';
import { cancelReplay, countRunning, findReplay, insertReplay, listReplays, type Replay } from '../../db/store/replays';
import { type Part, upTo } from '../../db/store/scan';
import { findWebhook } from '../../db/store/webhooks';
import { newUuid, toPublicId } from '../../domain/ids';
import { formatRateLimit, type RateLimit } from '../../domain/rate-limit';
import { MAX_RUNNING, type ReplayFilter } from '../../domain/replay';
import { reasonOf } from '../../log';
import { audited } from '../audited';
import { ApiError, notFound, rateLimited } from '../errors';
import { FEW_AT_ONCE, readPage } from '../page';
import type { Context, HandlerResult } from '../route';
import type { listReplaysQuery, replayBody } from '../schemas/replays';
import { queryWorkflow } from '../temporal/query-workflow';

type None = undefined;

/** A replay takes minutes; this is when to ask whether one has ended. */
const ANOTHER_TRY_MS = 30_000;
type Asker = Pick<Context<unknown, unknown>, 'services' | 'tenantId' | 'actor'>;

/** `POST /webhooks/{webhook}/replay` */
export async function create(context: Context<z.output<typeof replayBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, ids, body } = context;
  const requireWebhook = async () => {
    if (!(await findWebhook(services.db.kysely, tenantId, ids.webhook!))) throw notFound('webhook');
  };
  const filter: ReplayFilter = {
    since: body.since.toISOString(),
    until: (body.until ?? new Date()).toISOString(),
    ...(body.by && { by: body.by }),
    states: body.statuses,
    ...(body.event_types && { event_types: body.event_types }),
  };
  return begin(context, { webhookId: ids.webhook!, filter, rate: body.rate_limit, check: requireWebhook });
}

type Wanted = {
  webhookId: string | null;
  filter: ReplayFilter;
  rate: RateLimit | undefined;
  /** Throws if the replay may not begin. */
  check: () => Promise<void>;
};

/**
 * Inserts a replay and starts its workflow. If Temporal cannot be reached, the reconciler starts it later. The tenant's
 * permit is for Postgres only: nobody else's change waits for Temporal.
 */
export async function begin(asker: Asker, { webhookId, filter, rate, check }: Wanted): Promise<HandlerResult> {
  const { services, tenantId, actor } = asker;
  const id = newUuid();
  const order = { id, tenantId, webhookId, filter, rate: rate ?? services.replayRate, askedBy: actor };
  const replay = await services.changes.run(tenantId, async () => {
    await check();
    return audited(
      asker,
      'replay.create',
      toPublicId('replay', id),
      async (tx) => {
        if ((await countRunning(tx, tenantId)) < MAX_RUNNING) return insertReplay(tx, order);
        const detail = `${MAX_RUNNING} replays are running, which is the most a tenant may have. Wait for one, or cancel it.`;
        throw rateLimited(detail, { nextInMs: ANOTHER_TRY_MS });
      },
      () => ({ ...filter, ...(webhookId && { webhook_id: toPublicId('webhook', webhookId) }) }),
    );
  });
  await services.replayWorkflows.start(replay).catch((error: unknown) => {
    services.log.warn({ event: 'replay_not_started', replay_id: toPublicId('replay', id), err: reasonOf(error) });
  });
  return { status: 202, body: toOut(replay) };
}

/** The progress from the running workflow; in every other case from Postgres. */
export async function get({ services, tenantId, ids }: Context<None, None>): Promise<HandlerResult> {
  const replay = await findReplay(services.db.kysely, tenantId, ids.replay!);
  if (!replay) throw notFound('replay');
  const live =
    replay.state === 'running'
      ? await queryWorkflow(services, tenantId, () => services.replayWorkflows.progress(replay.id))
      : undefined;
  // The workflow does not know the time of its end; Postgres does.
  return live?.state === 'running'
    ? { status: 200, body: { ...toOut({ ...replay, ...live }), source: 'workflow' } }
    : { status: 200, body: { ...toOut(replay), source: 'database' } };
}

export async function list({
  services,
  tenantId,
  query,
  inSlices,
}: Context<None, z.output<typeof listReplaysQuery>>): Promise<HandlerResult> {
  const read = async ({ limit, beforeId }: Part) =>
    upTo(limit, await listReplays(services.db.kysely, tenantId, limit + 1, beforeId));
  return { status: 200, body: await readPage('replay', query, { read, toOut, atOnce: FEW_AT_ONCE }, inSlices) };
}

/** Cancels in Postgres first: no page begins after that, whether or not the workflow gets the signal. */
export async function cancel(context: Context<unknown, None>): Promise<HandlerResult> {
  const { services, tenantId, ids } = context;
  const { kysely } = services.db;
  const id = ids.replay!;
  const cancelled = await services.changes.run(tenantId, async () => {
    const replay = await findReplay(kysely, tenantId, id);
    if (!replay) throw notFound('replay');
    await audited(context, 'replay.cancel', toPublicId('replay', id), async (tx) => {
      const { state } = await cancelReplay(tx, id);
      if (state === 'completed') throw new ApiError('state_conflict', 'The replay is already completed.');
      return replay.state === 'running';
    });
    return (await findReplay(kysely, tenantId, id))!;
  });
  await services.replayWorkflows.cancel(id);
  return { status: 202, body: toOut(cancelled) };
}

function toOut(replay: Replay) {
  const { filter } = replay;
  return {
    id: toPublicId('replay', replay.id),
    webhook_id: replay.webhookId && toPublicId('webhook', replay.webhookId),
    since: filter.since,
    until: filter.until,
    by: filter.by ?? 'published',
    statuses: filter.states,
    event_types: filter.event_types ?? null,
    dead_letters: filter.dead_letters ?? false,
    status: replay.state,
    total: replay.total,
    sent: replay.sent,
    skipped: replay.skipped,
    rate_limit: formatRateLimit(replay.rate),
    created_at: replay.createdAt,
    ended_at: replay.endedAt,
  };
}
