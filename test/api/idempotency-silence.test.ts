import { randomBytes } from 'node:crypto';
import { answerOnce } from '../../src/api/http/idempotency';
import { toJson } from '../../src/api/http/json-text';
import { createSettling, type Settling } from '../../src/api/http/settle-requests';
import type { Context, HandlerResult } from '../../src/api/route';
import { createSecretBox } from '../../src/crypto/secret-box';
import { type Database, openDatabase } from '../../src/db/database';
import { newUuid } from '../../src/domain/ids';
import { createTestDatabase, queryOnce } from '../support/database';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import { until } from '../support/until';

/** A request with a key meets a database that falls silent, at each point of its way. */

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let proxy: HoldingProxy;
let db: Database;
let settling: Settling;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startHoldingProxy(Number(new URL(database.url).port));
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const timing = { statementTimeoutMs: 100 }; // given up on after 2.1 s
  db = openDatabase({ url: url.href, poolSize: 4, applicationName: 'test', planner: 'default', ...timing });
  settling = createSettling(db);
});
afterEach(() => proxy.release());
afterAll(async () => {
  settling?.stop();
  await db?.close();
  await proxy?.close();
  await database?.drop();
});

const secretBox = createSecretBox(new Map([['t1', randomBytes(32)]]));
const tenantId = newUuid();
let keys = 0;

/** A request that is repeated word for word. */
function request(): {
  key: string;
  serve: (handler: () => Promise<HandlerResult>) => Promise<HandlerResult | { code: string }>;
} {
  const key = `key ${++keys}`;
  const log = { warn: () => undefined };
  const context = {
    ...{ services: { db, settling, secretBox, log }, tenantId, requestId: 'req' },
    idempotencyKey: { key, requestHash: Buffer.alloc(32, keys) },
  } as unknown as Context<unknown, unknown>;
  return {
    key,
    serve: (handler) =>
      answerOnce(context, handler).catch((error: { code?: string }) => ({ code: error.code ?? 'away' })),
  };
}

const row = async (key: string) =>
  (
    await queryOnce(
      database.url,
      `select state, claims, lease_until > now() as leased, extract(epoch from lease_until - now())::float as left
       from idempotent_requests where key = '${key}'`,
    )
  )[0];
/** Let go of by us: a lease that runs out is not counted. */
const untilReleased = (key: string) =>
  until(`${key} to be released`, async () => {
    const now = await row(key);
    return now?.claims === 2 && now.leased === false;
  });

const created = async () => ({ status: 201, body: { made: true } });
const IN_PROGRESS = { code: 'idempotency_in_progress' };

test('the database is silent while the key is claimed: the claim that is carried out later is let go of', async () => {
  const { key, serve } = request();
  let served = 0;
  const handler = async () => {
    served++;
    return created();
  };
  await db.pool.query('select 1');
  proxy.hold();
  expect(await serve(handler)).toEqual({ code: 'away' });
  proxy.release();
  await untilReleased(key);
  expect(await serve(handler)).toMatchObject({ status: 201 });
  expect(served).toBe(1);
});

/** What was sent meanwhile comes to the database after all, or never does. */
describe.each([
  ['held back', () => proxy.release()],
  [
    'lost',
    () => {
      proxy.cut();
      proxy.release();
    },
  ],
])('what was sent is %s', (_, goOn) => {
  test('the database is silent while the request is served: its key is free once the database is back, and it is served again', async () => {
    const { key, serve } = request();
    const cut = await serve(async () => {
      proxy.hold();
      await db.pool.query('select 1');
      return created();
    });
    expect(cut).toEqual({ code: 'away' });
    expect(await row(key)).toMatchObject({ state: 'running', leased: true });
    goOn();
    await untilReleased(key);
    expect(await serve(created)).toMatchObject({ status: 201 });
  });

  test('the database is silent when the answer is to be kept: the caller has it, and a repetition finds it soon', async () => {
    const { key, serve } = request();
    const answer = await serve(async () => {
      proxy.hold();
      return created();
    });
    expect(answer).toMatchObject({ status: 201 });
    expect(await row(key)).toMatchObject({ state: 'running' });
    goOn();
    await until('the answer to be kept', async () => (await row(key))?.state === 'done');
    const again = await serve(() => Promise.reject(new Error('served twice')));
    expect('body' in again && JSON.parse(toJson(again.body)!)).toEqual({ made: true });
    expect(again).toMatchObject({ status: 201, headers: { 'idempotency-replayed': 'true' } });
  });
});

test('a repetition of a request that is still being served is refused, however long that takes', async () => {
  const { key, serve } = request();
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const first = serve(() => ended.then(created));
  await until('it to be claimed', async () => (await row(key)) !== undefined);
  await queryOnce(
    database.url,
    `update idempotent_requests set lease_until = now() + interval '8 s' where key = '${key}'`,
  );
  await until('its lease to be renewed', async () => (await row(key)).left > 9);
  expect(await serve(created)).toEqual(IN_PROGRESS);
  end();
  expect(await first).toMatchObject({ status: 201 });
  expect(await serve(created)).toMatchObject({ headers: { 'idempotency-replayed': 'true' } });
});
