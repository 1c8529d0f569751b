import { OPERATIONAL_EVENTS } from '../../src/domain/event-types';
import { toPublicId } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import {
  addWebhook,
  attemptOf,
  attempts,
  DELIVERED,
  FAILED,
  publishOutbox,
  recordAttempts,
  tenant,
  underWay,
  WAIT,
  webhook,
} from './support';

const PUBLISHERS = 4;
const THRESHOLD = 3;
/** The webhook whose endpoint is in trouble, and the one that wants to know. Both are of one tenant. */
const troubled = webhook(1);
const listening = webhook(2);

const db = databaseForFile({ poolSize: PUBLISHERS, planner: 'queue' });

beforeEach(async () => {
  await db.pool.query('truncate delivery_queue, webhook_gates, subscriptions, operational_outbox');
  await db.pool.query('delete from events');
  await addWebhook(db.pool, troubled, 0);
  await db.pool.query('update webhook_gates set breaker_threshold = $1, disable_after_failed = null', [THRESHOLD]);
});

const subscribe = (pattern: string, tenantId = tenant(1)) =>
  db.pool.query('insert into subscriptions (tenant_id, pattern, webhook_id) values ($1, $2, $3)', [
    tenantId,
    pattern,
    listening,
  ]);

async function outbox(): Promise<{ type: string; webhook_id: string; delivery_id: string | null; details: any }[]> {
  const { rows } = await db.pool.query(
    'select type, webhook_id, delivery_id, details from operational_outbox order by created_at, type',
  );
  return rows;
}
const typesIn = async () => (await outbox()).map(({ type }) => type);

type Kind = { eventType?: string };
/** A delivery fails for good, then the breaker opens, closes, and the webhook is disabled. */
async function everything(kind: Kind = {}): Promise<void> {
  await attempts(db.pool, troubled, 1, FAILED, kind);
  await attempts(db.pool, troubled, THRESHOLD - 1, WAIT, kind);
  await attempts(db.pool, troubled, 1, DELIVERED, kind);
  await attempts(db.pool, troubled, 1, WAIT, { gone: true, ...kind });
}
const ALL = [
  'posthorn.delivery.failed',
  'posthorn.webhook.failing',
  'posthorn.webhook.recovered',
  'posthorn.webhook.disabled',
];

describe('what happens to a webhook is in the outbox', () => {
  test.each<[string, string[]]>([
    ...OPERATIONAL_EVENTS.map((type): [string, string[]] => [type, [type]]),
    ['posthorn.webhook.*', ALL.filter((type) => type.startsWith('posthorn.webhook.'))],
    ['posthorn.delivery.*', ['posthorn.delivery.failed']],
    ['posthorn.*', ALL],
    ['*', []],
    ['order.*', []],
    ['posthorn.webhook.other', []],
    ['posthorn.webhook.failing.*', []],
  ])('as far as its tenant asks for it: %s', async (pattern, types) => {
    await subscribe(pattern);
    await everything();
    expect(await typesIn()).toEqual(types);
  });

  test('once, though several subscriptions ask for it', async () => {
    for (const pattern of ['posthorn.*', 'posthorn.webhook.*', '*', ...OPERATIONAL_EVENTS]) await subscribe(pattern);
    await everything();
    expect(await typesIn()).toEqual(ALL);
  });

  test('not where another tenant asks for it', async () => {
    await subscribe('posthorn.*', webhook(9));
    await everything();
    expect(await outbox()).toEqual([]);
  });

  test('not where what failed was to tell of such things itself', async () => {
    await subscribe('posthorn.*');
    await everything({ eventType: 'posthorn.delivery.failed' });
    expect(await outbox()).toEqual([]);
  });

  test('with what went wrong', async () => {
    await subscribe('posthorn.*');
    const failed = await underWay(db.pool, troubled);
    const end = { kind: 'end', state: 'failed', because: 'gone' } as const;
    const attempt = attemptOf(failed, 4, end);
    await recordAttempts(db.pool, [
      { ...attempt, statusCode: 410, healthSignal: { ...attempt.healthSignal, gone: true } },
    ]);
    const details = {
      ...{ event_id: failed.deliveryId, event_type: 'order.created', failed_because: 'gone' },
      ...{ attempt_count: 4, status_code: 410, error_code: null },
    };
    expect(await outbox()).toEqual([
      { type: 'posthorn.delivery.failed', webhook_id: troubled, delivery_id: failed.deliveryId, details },
      { type: 'posthorn.webhook.disabled', webhook_id: troubled, delivery_id: null, details: { reason: 'gone' } },
    ]);
  });
});

describe('each is told once', () => {
  beforeEach(() => subscribe('posthorn.*'));

  test('failing, until it has recovered: neither late failures nor a failed probe tell of it again', async () => {
    await attempts(db.pool, troubled, THRESHOLD + 2, WAIT);
    await db.pool.query(`update webhook_gates set breaker_until = now() - interval '1 ms'`);
    await attempts(db.pool, troubled, 2, WAIT);
    expect(await typesIn()).toEqual(['posthorn.webhook.failing']);
    await attempts(db.pool, troubled, 2, DELIVERED);
    await attempts(db.pool, troubled, THRESHOLD, WAIT);
    expect(await typesIn()).toEqual([
      'posthorn.webhook.failing',
      'posthorn.webhook.recovered',
      'posthorn.webhook.failing',
    ]);
  });

  test('recovered, only where it was said to be failing', async () => {
    await attempts(db.pool, troubled, THRESHOLD - 1, WAIT);
    await attempts(db.pool, troubled, 3, DELIVERED);
    expect(await outbox()).toEqual([]);
  });

  test('disabled, however many attempts end after it', async () => {
    await db.pool.query('update webhook_gates set disable_after_failed = 1, breaker_threshold = null');
    await attempts(db.pool, troubled, 4, { kind: 'end', state: 'failed', because: 'gone' }, { gone: true });
    const disabled = (await typesIn()).filter((type) => type === 'posthorn.webhook.disabled');
    expect(disabled).toHaveLength(1);
  });

  test('delivery.failed, though its last attempt is recorded again', async () => {
    const attempt = attemptOf(await underWay(db.pool, troubled), 1, FAILED);
    expect((await recordAttempts(db.pool, [attempt])).outboxFilled).toBe(true);
    expect((await recordAttempts(db.pool, [attempt])).outboxFilled).toBe(false);
    expect(await typesIn()).toEqual(['posthorn.delivery.failed']);
  });
});

describe('publishing the outbox', () => {
  const COUNT = 40;
  let failed: string[];
  beforeEach(async () => {
    await subscribe('posthorn.*');
    await db.pool.query('update webhook_gates set breaker_threshold = null');
    await attempts(db.pool, troubled, COUNT, FAILED);
    failed = (await outbox()).map(({ delivery_id }) => delivery_id!);
    expect(failed).toHaveLength(COUNT);
  });

  /** What the published events say, and how many deliveries of them are queued. */
  async function published() {
    const { rows } = await db.pool.query<{ type: string; body: Buffer; queued: number }>(
      `select type, body, (select count(*) from delivery_queue q where q.event_id = e.id and q.webhook_id = $1) queued
       from events e`,
      [listening],
    );
    return rows.map(({ type, body, queued }) => ({ type, queued, body: JSON.parse(body.toString()) }));
  }
  const publishAll = async () => {
    while ((await publishOutbox(db.pool)).some((result) => result.published > 0));
  };

  test('makes each an event with its delivery, exactly once, with several publishers at work', async () => {
    await Promise.all(Array.from({ length: PUBLISHERS }, publishAll));
    expect(await outbox()).toEqual([]);
    const events = await published();
    expect(events.map(({ body }) => body.data.delivery_id).sort()).toEqual(
      failed.map((id) => toPublicId('delivery', id)).sort(),
    );
    for (const { type, queued } of events)
      expect({ type, queued }).toEqual({ type: 'posthorn.delivery.failed', queued: 1 });
  });

  test('takes the oldest first, and no more than a turn at once', async () => {
    const [result] = await publishOutbox(db.pool);
    expect(result!.published).toBeGreaterThan(0);
    expect(result!.published).toBeLessThan(COUNT);
    expect((await outbox()).map(({ delivery_id }) => delivery_id)).toEqual(failed.slice(result!.published));
  });

  test('says what happened and where, with the ids that people know', async () => {
    await publishOutbox(db.pool);
    const id = (uuid: string, kind: 'webhook' | 'delivery' | 'event') => toPublicId(kind, uuid);
    expect((await published()).map(({ body }) => body).find(isOldest)).toEqual({
      id: expect.stringMatching(/^evt_/),
      type: 'posthorn.delivery.failed',
      timestamp: expect.any(String),
      version: '1.0',
      data: {
        webhook_id: id(troubled, 'webhook'),
        delivery_id: id(failed[0]!, 'delivery'),
        event_id: id(failed[0]!, 'event'),
        event_type: 'order.created',
        failed_because: 'exhausted',
        attempt_count: 1,
        status_code: 204,
        error_code: null,
        occurred_at: expect.any(String),
      },
    });
  });

  const isOldest = (body: any) => body.data.delivery_id === toPublicId('delivery', failed[0]!);

  test('has nothing to do where nothing happened', async () => {
    await db.pool.query('truncate operational_outbox');
    expect(await publishOutbox(db.pool)).toEqual([]);
  });
});
