import { type Database, openDatabase } from '../../src/db/database';
import { publishBatch, publishChunk } from '../../src/db/publish/publish-batch';
import { insertEvent, type NewEvent, publishEvent, publishOnce } from '../../src/db/publish/publish-one';
import { replayEvent } from '../../src/db/store/event-replay';
import { newUuid, uuidTimeMs } from '../../src/domain/ids';
import { createTestDatabase } from '../support/database';
import { addWebhook, publishOutbox } from './support';

/** An event of Posthorn's own has no version: webhooks get it whatever version they want, and all of it. */

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let db: Database;
const tenantId = newUuid();
const full = newUuid();
const minimal = newUuid();
const TYPE = 'posthorn.webhook.failing';

beforeAll(async () => {
  database = await createTestDatabase();
  db = openDatabase({ url: database.url, poolSize: 4, applicationName: 'test', planner: 'default' });
  await db.pool.query(`insert into tenants (id, name) values ($1, 'own')`, [tenantId]);
  for (const id of [full, minimal]) {
    const payload = id === minimal ? 'minimal' : 'full';
    await addWebhook(db.pool, id, 0);
    await db.pool.query(
      `insert into webhooks (id, tenant_id, url, host, patterns, retry_policy, timeout_ms, payload, payload_version)
       values ($1, $2, 'https://example.com', 'example.com', '{posthorn.*}', '{}', 1000, $3, '2.0')`,
      [id, tenantId, payload],
    );
    await db.pool.query(
      `insert into subscriptions (tenant_id, pattern, webhook_id, minimal, payload_version)
       values ($1, 'posthorn.*', $2, $3, '2.0')`,
      [tenantId, id, payload === 'minimal'],
    );
  }
});
beforeEach(() => db.pool.query('delete from events; delete from deliveries; delete from delivery_queue'));
afterAll(async () => {
  await db?.close();
  await database?.drop();
});

function event(version?: string): NewEvent {
  const createdAt = new Date();
  const id = newUuid(createdAt.getTime());
  const body = Buffer.from('{"data":{}}');
  return { id, tenantId, type: TYPE, body, createdAt, patterns: ['posthorn.*'], ...(version && { version }) };
}
const request = () => ({ key: newUuid(), requestHash: Buffer.alloc(32, 1), answerHead: '{"deliveries":' });

async function fromOutbox(): Promise<void> {
  await db.pool.query('insert into operational_outbox (tenant_id, webhook_id, type) values ($1, $2, $3)', [
    tenantId,
    full,
    TYPE,
  ]);
  expect(await publishOutbox(db.pool)).toMatchObject([{ published: 1, failures: [] }]);
}

/** As after the tenant asked for it, and nobody had it. */
async function byReplay(): Promise<void> {
  const { id, createdAt, body } = event();
  await db.pool.query('insert into events (id, tenant_id, type, body, created_at) values ($1, $2, $3, $4, $5)', [
    ...[id, tenantId, TYPE, body, createdAt],
  ]);
  const replay = { tenantId, event: { id, type: TYPE }, webhookIds: [full, minimal], askedBy: newUuid() };
  await db.kysely.transaction().execute((tx) => replayEvent(tx, replay));
}

/** Which webhooks have a delivery of the one event, and whether a minimal one. */
async function deliveries(): Promise<Record<string, boolean>> {
  const { rows } = await db.pool.query<{ id: string; event_id: string; webhook_id: string; minimal: boolean }>(
    'select d.* from deliveries d join delivery_queue q on q.delivery_id = d.id where d.tenant_id = $1',
    [tenantId],
  );
  for (const row of rows) expect(uuidTimeMs(row.id)).toBe(uuidTimeMs(row.event_id));
  return Object.fromEntries(rows.map((row) => [row.webhook_id, row.minimal]));
}

type Publish = (event: NewEvent) => Promise<unknown>;
const STATEMENTS: [string, Publish][] = [
  ['a statement of its own', (one) => publishEvent(db.pool, one)],
  ['a statement in a transaction', (one) => insertEvent(db.pool, one)],
  ['a request with a key', (one) => publishOnce(db.pool, one, request())],
  ['a batch', (one) => publishBatch(db.pool, [one])],
  ['a statement that it shares', (one) => publishChunk(db.pool, [one])],
  ['a shared statement, with a key of its request', (one) => publishChunk(db.pool, [{ ...one, request: request() }])],
];

test.each<[string, Publish]>([...STATEMENTS, ['the outbox', fromOutbox], ['a replay', byReplay]])(
  'an event without a version goes whole to every webhook by %s',
  async (_, publish) => {
    await publish(event());
    expect(await deliveries()).toEqual({ [full]: false, [minimal]: false });
  },
);

test.each(STATEMENTS)('an event of the wanted version is minimal where that is asked for by %s', async (_, publish) => {
  await publish(event('2.0'));
  expect(await deliveries()).toEqual({ [full]: false, [minimal]: true });
});

test.each(STATEMENTS)('an event of another version goes to none of them by %s', async (_, publish) => {
  await publish(event('1.0'));
  expect(await deliveries()).toEqual({});
});
