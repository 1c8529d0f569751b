import { publishBatch } from '../../src/db/publish/publish-batch';
import { publishMany } from '../../src/db/publish/publish-many';
import { publishOnce } from '../../src/db/publish/publish-once';
import { publishEvent } from '../../src/db/publish/publish-one';
import { publishOperational } from '../../src/db/publish/publish-operational';
import type { NewEvent } from '../../src/db/publish/types';
import { replayEvent } from '../../src/db/store/event-replay';
import { setGateStatus } from '../../src/db/store/gates';
import type { WebhookSettings } from '../../src/db/store/webhook-settings';
import { deleteWebhook, insertWebhook } from '../../src/db/store/webhooks';
import { matchingPatterns } from '../../src/domain/event-types';
import { newUuid, uuidTimeMs } from '../../src/domain/ids';
import { PRIORITIES, type Priority } from '../../src/domain/priorities';
import { databaseForFile } from '../support/for-tests';

/** The same cases over every statement that publishes: what they have in common must not depend on which one it was. */

const db = databaseForFile({ poolSize: 4, planner: 'default' });

/** `again`: nothing was published, because the key is taken. */
type Outcome = { deliveries: number } | 'again';
type Way = {
  name: string;
  /** Publishes events that have no version, and only those. */
  own?: true;
  publish(event: NewEvent, key?: string): Promise<Outcome>;
};

const request = (key: string) => ({ key, requestHash: Buffer.alloc(32, 1), answerHead: '{"deliveries":' });
const outcomeOf = ({ duplicate, deliveries }: { duplicate: boolean; deliveries: number }): Outcome =>
  duplicate ? 'again' : { deliveries };
/** Of another tenant, and for nobody: it shares the statement. */
const neighbour = () => ({ ...newEvent(newUuid(), { type: 'x.y' }), body: Buffer.from('{}') });

const WAYS: Way[] = [
  {
    name: 'one',
    publish: async (event, key) =>
      outcomeOf(await publishEvent(db.pool, { ...event, ...(key !== undefined && { producerId: key }) })),
  },
  {
    name: 'once for its Idempotency-Key',
    async publish(event, key = newUuid()) {
      const once = await publishOnce(db.pool, event, request(key));
      return once.state === 'published' ? { deliveries: once.deliveries } : 'again';
    },
  },
  {
    name: 'among others',
    async publish(event, key) {
      const once = key === undefined ? undefined : { kind: 'event' as const, key };
      const results = await publishMany(db.pool, [neighbour(), { ...event, ...(once && { once }) }, neighbour()]);
      return outcomeOf(results[1]!);
    },
  },
  {
    name: 'among others, for its Idempotency-Key',
    async publish(event, key = newUuid()) {
      const results = await publishMany(db.pool, [neighbour(), { ...event, request: request(key) }]);
      return results[1] ? outcomeOf(results[1]) : 'again';
    },
  },
  {
    name: 'in a batch',
    async publish(event, key) {
      const [result] = await publishBatch(db.pool, [
        { ...event, ...(key !== undefined && { once: { kind: 'request', key } }) },
      ]);
      return outcomeOf(result!);
    },
  },
  {
    name: 'from the outbox',
    own: true,
    async publish({ tenantId, id, type, body, createdAt }, key) {
      const outboxId = await outboxRow(tenantId, type, key ?? newUuid());
      const { published, deliveries } = await publishOperational(db.pool, tenantId, [
        { outboxId, id, type, body, createdAt },
      ]);
      return published === 0 ? 'again' : { deliveries };
    },
  },
];

const rowsOfKeys = new Map<string, string>();
/** The row that a key stands for; made once for each tenant. */
async function outboxRow(tenantId: string, type: string, key: string): Promise<string> {
  const name = `${tenantId}/${key}`;
  const earlier = rowsOfKeys.get(name);
  if (earlier) return earlier;
  const { rows } = await db.pool.query<{ id: string }>(
    'insert into operational_outbox (tenant_id, type, webhook_id) values ($1, $2, $3) returning id',
    [tenantId, type, newUuid()],
  );
  rowsOfKeys.set(name, rows[0]!.id);
  return rows[0]!.id;
}

const TYPE = 'posthorn.webhook.failing';

function newEvent(tenantId: string, change: Partial<NewEvent> = {}): NewEvent {
  const createdAt = new Date();
  const id = newUuid(createdAt.getTime());
  const type = change.type ?? TYPE;
  return {
    id,
    tenantId,
    type,
    body: Buffer.from(`{"n":"${id}"}`),
    createdAt,
    patterns: matchingPatterns(type),
    ...change,
  };
}

async function newTenant(): Promise<string> {
  const id = newUuid();
  await db.pool.query('insert into tenants (id, name) values ($1, $1::uuid::text)', [id]);
  return id;
}

/** A webhook, and what becomes of it before the event is published. */
type Webhook = Partial<Pick<WebhookSettings, 'patterns' | 'payload' | 'payloadVersion'>> & {
  state?: 'paused' | 'disabled' | 'deleted';
};

async function addWebhook(tenantId: string, { state, ...settings }: Webhook): Promise<string> {
  const id = newUuid();
  await db.kysely.transaction().execute(async (tx) => {
    await insertWebhook(tx, tenantId, id, { ...SETTINGS, ...settings }, 'sealed');
    if (state === 'deleted') await deleteWebhook(tx, tenantId, id);
    else if (state) await setGateStatus(tx, id, state);
  });
  return id;
}

const SETTINGS: WebhookSettings = {
  url: 'https://example.com/',
  host: 'example.com',
  patterns: [TYPE],
  description: null,
  metadata: {},
  retryPolicy: { preset: 'standard' },
  timeoutMs: 15_000,
  signatureStyles: ['standard'],
  signature: null,
  sealedHeaders: null,
  headerNames: [],
  payload: 'full',
  payloadVersion: null,
  filter: null,
  bodyFormat: 'exact',
  envelope: 'standard',
  status: 'active',
  rateLimit: null,
  maxInFlight: null,
  mode: null,
  ordered: false,
  breaker: null,
  disableAfter: { failedDeliveries: null, failingForMs: null },
};

/** What of an event is stored and queued; a webhook by its place among those of the case. */
async function stored(tenantId: string, webhooks: string[]) {
  const { rows } = await db.pool.query(
    `select d.id, d.event_id, d.webhook_id, d.minimal, q.priority, q.event_id = d.event_id
       and q.webhook_id = d.webhook_id and q.event_type = d.event_type and q.tenant_id = d.tenant_id as alike
     from deliveries d full join delivery_queue q on q.delivery_id = d.id
     where d.tenant_id = $1 or q.tenant_id = $1 order by d.webhook_id`,
    [tenantId],
  );
  for (const row of rows) {
    expect(row.alike).toBe(true);
    expect(uuidTimeMs(row.id)).toBe(uuidTimeMs(row.event_id));
  }
  return rows.map(({ webhook_id, minimal, priority }) => ({
    webhook: webhooks.indexOf(webhook_id),
    minimal,
    priority,
  }));
}

const eventsOf = async (tenantId: string) =>
  (await db.pool.query('select id, type, body, key_fields from events where tenant_id = $1', [tenantId])).rows;

type Case = {
  title: string;
  webhooks: Webhook[];
  event?: Pick<NewEvent, 'priority' | 'version' | 'keyFields'>;
  /** Places of webhooks whose filter the event does not pass. */
  excluded?: number[];
  /** Places of the webhooks that get it; those in `minimal` only its key fields. */
  to: number[];
  minimal?: number[];
};

const PUBLIC = { version: '1.0' } as const;

const CASES: Case[] = [
  { title: 'nobody has subscribed', webhooks: [], to: [] },
  {
    title: 'patterns match the type, a part of it, or not',
    webhooks: [
      { patterns: [TYPE] },
      { patterns: ['posthorn.*'] },
      { patterns: ['posthorn.webhook.*'] },
      { patterns: ['posthorn.delivery.*'] },
      { patterns: ['order.created'] },
    ],
    to: [0, 1, 2],
  },
  {
    title: 'several patterns of one webhook match',
    webhooks: [{ patterns: ['posthorn.*', TYPE, 'posthorn.webhook.*'], payload: 'minimal' }],
    to: [0],
  },
  {
    title: 'webhooks are active, paused, disabled and deleted',
    webhooks: [{}, { state: 'paused' }, { state: 'disabled' }, { state: 'deleted' }],
    to: [0, 1, 2],
  },
  {
    title: 'our own event goes whole, and to webhooks of every version',
    webhooks: [{ payload: 'minimal' }, { payloadVersion: '1.0' }, { payload: 'minimal', payloadVersion: '2.0' }, {}],
    to: [0, 1, 2, 3],
  },
  {
    title: 'an event with a version is cut for minimal webhooks',
    webhooks: [{}, { payload: 'minimal' }, { payload: 'minimal', patterns: ['posthorn.*', TYPE] }],
    event: { ...PUBLIC, keyFields: ['id', 'a "quoted" \\ one', 'in,two'] },
    to: [0, 1, 2],
    minimal: [1, 2],
  },
  {
    title: 'an event with a version goes to webhooks of that version, and of none',
    webhooks: [{ payloadVersion: '1.0' }, { payloadVersion: '2.0' }, {}, { payload: 'minimal', payloadVersion: '1.0' }],
    event: PUBLIC,
    to: [0, 2, 3],
    minimal: [3],
  },
  {
    title: 'webhooks whose filter it does not pass are left out',
    webhooks: [{}, {}, { payload: 'minimal' }, {}],
    event: PUBLIC,
    excluded: [1, 2],
    to: [0, 3],
  },
  ...(['high', 'normal', 'low'] as Priority[]).map((priority) => ({
    title: `the priority is ${priority}`,
    webhooks: [{}, {}],
    event: { ...PUBLIC, priority },
    to: [0, 1],
  })),
];

describe.each(WAYS)('published $name:', (way) => {
  test.each(CASES.filter(({ event, excluded }) => !way.own || (!event && !excluded)))(
    '$title',
    async ({ webhooks, event: change, excluded, to, minimal = [] }) => {
      const tenantId = await newTenant();
      const ids: string[] = [];
      for (const webhook of webhooks) ids.push(await addWebhook(tenantId, webhook));
      // Another tenant's, which gets nothing.
      await addWebhook(await newTenant(), {});
      const event = newEvent(tenantId, {
        ...change,
        ...(excluded && { excluded: excluded.map((place) => ids[place]!) }),
      });
      expect(await way.publish(event)).toEqual({ deliveries: to.length });
      const { id, type, body, keyFields = null } = event;
      expect(await eventsOf(tenantId)).toEqual([{ id, type, body, key_fields: keyFields }]);
      const priority = PRIORITIES[event.priority ?? 'normal'];
      expect(await stored(tenantId, ids)).toEqual(
        to.map((webhook) => ({ webhook, minimal: minimal.includes(webhook), priority })),
      );
    },
  );

  test('a key that is taken publishes nothing, another key and another tenant do', async () => {
    const [tenantId, other] = [await newTenant(), await newTenant()];
    const webhooks = [await addWebhook(tenantId, {}), await addWebhook(tenantId, {})];
    await addWebhook(other, {});
    const first = newEvent(tenantId);
    expect(await way.publish(first, 'mine')).toEqual({ deliveries: 2 });
    expect(await way.publish(newEvent(tenantId), 'mine')).toBe('again');
    expect((await eventsOf(tenantId)).map(({ id }) => id)).toEqual([first.id]);
    expect(await stored(tenantId, webhooks)).toHaveLength(2);
    expect(await way.publish(newEvent(tenantId), 'yours')).toEqual({ deliveries: 2 });
    expect(await way.publish(newEvent(other), 'mine')).toEqual({ deliveries: 1 });
    expect(await eventsOf(tenantId)).toHaveLength(2);
    expect(await eventsOf(other)).toHaveLength(1);
  });
});

test.each([
  ['our own event', TYPE, [false, false]],
  ["a producer's event", 'order.created', [false, true]],
])('a replay of %s cuts it for the same webhooks as a publish', async (_, type, minimal) => {
  const tenantId = await newTenant();
  const webhookIds = [await addWebhook(tenantId, {}), await addWebhook(tenantId, { payload: 'minimal' })];
  // Nobody had subscribed when it was published.
  const event = newEvent(tenantId, { type, patterns: [] });
  await publishEvent(db.pool, event);
  await db.kysely
    .transaction()
    .execute((tx) => replayEvent(tx, { tenantId, event: { id: event.id, type }, webhookIds, askedBy: newUuid() }));
  expect((await stored(tenantId, webhookIds)).map((delivery) => delivery.minimal)).toEqual(minimal);
});
