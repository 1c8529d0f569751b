import type { z } from 'zod';
import type { Tx } from '../../db/database';
import { findExample } from '../../db/store/event-types';
import type { Part } from '../../db/store/scan';
import type { Webhook } from '../../db/store/webhook-row';
import {
  countTests,
  findTest,
  insertTest,
  listTests,
  type NewTest,
  removeTest,
  type WebhookTest,
} from '../../db/store/webhook-tests';
import { findWebhook } from '../../db/store/webhooks';
import { envelope } from '../../domain/envelope';
import { OPERATIONAL_PREFIX } from '../../domain/event-types';
import { newUuid, toPublicId } from '../../domain/ids';
import { minimalBody } from '../../domain/minimal-payload';
import { rawMember } from '../../domain/raw-member';
import { sentBody } from '../../domain/sent-as';
import { MAX_PENDING_TESTS, MAX_TESTS_PER_MINUTE, TEST_DATA, TEST_EVENT_TYPE } from '../../domain/webhook-test';
import { reasonOf } from '../../log';
import { audited } from '../audited';
import { ApiError, notFound, rateLimited } from '../errors';
import { readPage } from '../page';
import type { Context, HandlerResult } from '../route';
import type { listTestsQuery, testBody, waitQuery } from '../schemas/webhooks';
import type { Services } from '../services';
import { toAttemptOut } from './deliveries';
import { requireShortData } from './events';

/** Rows per statement: each may have headers, 16 KiB of the receiver's answer, and the body. */
const AT_ONCE = 10;
const MINUTE_MS = 60_000;
const DEFAULT_VERSION = '1.0';

type None = undefined;
type TestContext = Context<z.output<typeof testBody>, z.output<typeof waitQuery>>;

/**
 * Sends a webhook's endpoint one event that nobody published, whatever its gate says, once. With `wait=true` it answers when
 * the attempt has been made.
 */
export async function test(context: TestContext): Promise<HandlerResult> {
  const { services, tenantId, ids, query } = context;
  const webhookId = ids.webhook!;
  // Before anything begins: a request that may not wait starts nothing.
  const place = query.wait ? services.webhookTestWaits.enter(tenantId) : undefined;
  try {
    const id = await ask(context, webhookId);
    await start(services, { tenantId, webhookId, testId: id });
    await place?.untilEnded(id, context.gone);
    const read = () => findTest(services.db.kysely, tenantId, webhookId, id);
    const made = await services.reads.run(tenantId, read);
    // The webhook was deleted meanwhile, and its tests with it.
    if (!made) throw notFound('webhook');
    return { status: made.outcome === 'pending' ? 202 : 200, body: toOut(made, true) };
  } finally {
    place?.leave();
  }
}

/** Stores the test and its line in the audit log. Returns its uuid. @throws ApiError */
async function ask(context: TestContext, webhookId: string): Promise<string> {
  const { services, tenantId, body = {}, bodyText } = context;
  const data = body.data && rawMember(bodyText, 'data');
  if (data !== undefined) requireShortData(data);
  const store = async (tx: Tx) => {
    const webhook = await findWebhook(tx, tenantId, webhookId);
    if (!webhook) throw notFound('webhook');
    if (webhook.verification.holds) {
      throw new ApiError('state_conflict', 'Until the endpoint has answered the challenge it gets nothing else.');
    }
    await requireTestQuota(tx, tenantId);
    const made = await toTest(tx, tenantId, webhook, { eventType: body.event_type ?? TEST_EVENT_TYPE, data });
    await insertTest(tx, made);
    return made.id;
  };
  return services.changes.run(tenantId, () =>
    audited(context, 'webhook.test', toPublicId('webhook', webhookId), store, (id) => ({
      attempt: toPublicId('attempt', id),
    })),
  );
}

/** @throws ApiError rate_limited if the tenant has as many tests as it may have at once, or in a minute */
async function requireTestQuota(tx: Tx, tenantId: string): Promise<void> {
  const { pending, lastMinute } = await countTests(tx, tenantId);
  if (pending < MAX_PENDING_TESTS && lastMinute < MAX_TESTS_PER_MINUTE) return;
  const detail = `A tenant may have ${MAX_PENDING_TESTS} tests under way, and ${MAX_TESTS_PER_MINUTE} in a minute.`;
  throw rateLimited(detail, { nextInMs: MINUTE_MS });
}

/** A test as a delivery of this webhook would look: `data` as it was written, an example of the type, or a little of ours. */
async function toTest(
  tx: Tx,
  tenantId: string,
  webhook: Webhook,
  { eventType, data }: { eventType: string; data: string | undefined },
): Promise<NewTest> {
  const type = await findExample(tx, tenantId, eventType, webhook.payloadVersion);
  const example = data === undefined ? type?.example : undefined;
  const id = newUuid();
  const whole = envelope({
    id,
    type: eventType,
    version: example?.version ?? webhook.payloadVersion ?? DEFAULT_VERSION,
    createdAt: new Date(),
    data: data ?? example?.data ?? TEST_DATA,
  });
  const isCut = webhook.payload === 'minimal' && !eventType.startsWith(OPERATIONAL_PREFIX);
  const body = isCut ? minimalBody(whole, type?.keyFields ?? []) : whole;
  return { id, tenantId, webhookId: webhook.id, eventType, body };
}

/** @throws ApiError workflow_engine_unavailable; nothing remains of the test then */
async function start(
  { webhookTestWorkflows, db, log }: Services,
  test: { tenantId: string; webhookId: string; testId: string },
): Promise<void> {
  try {
    await webhookTestWorkflows.start(test);
  } catch (error) {
    log.warn({
      event: 'webhook_test_not_started',
      webhook_id: toPublicId('webhook', test.webhookId),
      err: reasonOf(error),
    });
    await removeTest(db.kysely, test.testId);
    throw new ApiError('workflow_engine_unavailable', 'The workflow engine cannot be reached. Try again in a moment.');
  }
}

export async function list(context: Context<None, z.output<typeof listTestsQuery>>): Promise<HandlerResult> {
  const { services, tenantId, ids, query, inSlices } = context;
  const { kysely } = services.db;
  const webhookId = ids.webhook!;
  if (!(await findWebhook(kysely, tenantId, webhookId))) throw notFound('webhook');
  const read = (part: Part) => listTests(kysely, tenantId, webhookId, part);
  const reading = { read, toOut: (one: WebhookTest) => toOut(one, false), atOnce: AT_ONCE };
  return { status: 200, body: await readPage('attempt', query, reading, inSlices) };
}

export async function get({ services, tenantId, ids }: Context<None, None>): Promise<HandlerResult> {
  const found = await findTest(services.db.kysely, tenantId, ids.webhook!, ids.attempt!);
  if (!found) throw notFound('test');
  return { status: 200, body: toOut(found, true) };
}

/** As an attempt of a delivery. `withBody`: the request's. */
function toOut({ id, webhookId, eventType, outcome, createdAt, attempt, body }: WebhookTest, withBody: boolean) {
  const publicIds = { webhookId: toPublicId('webhook', webhookId), deliveryId: toPublicId('delivery', id) };
  const sent = withBody && attempt ? sentBody(body, attempt.sent_as, publicIds) : undefined;
  const made = attempt && toAttemptOut(attempt, sent?.toString('utf8'));
  return {
    webhook_id: publicIds.webhookId,
    event_type: eventType,
    ...(made ?? NOT_MADE),
    id: toPublicId('attempt', id),
    outcome,
    created_at: createdAt,
  };
}

const NOT_MADE = {
  number: 1,
  trigger: 'test',
  started_at: null,
  duration_ms: null,
  status_code: null,
  error: null,
  request: null,
  response: null,
  remote_address: null,
} as const;
