import { type Database, openDatabase } from '../../src/db/database';
import {
  type Claim,
  claimRequest,
  findRequest,
  finishRequest,
  forgetExpired,
  releaseRequest,
} from '../../src/db/idempotent-requests';
import { createTestDatabase } from '../support/database';
import { webhook } from './support';

let db: Database;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createTestDatabase();
  drop = database.drop;
  db = openDatabase({ url: database.url, poolSize: 4, applicationName: 'test', planner: 'default' });
});
afterAll(async () => {
  await db?.close();
  await drop?.();
});

const tenantId = webhook(1);
const once = (key: string) => ({ key, requestHash: Buffer.alloc(32, 1) });

test('whoever has lost the lease neither answers for its successor nor lets go of the key', async () => {
  const request = once('lost');
  const first = (await claimRequest(db.pool, tenantId, request)) as Claim;
  expect(await claimRequest(db.pool, tenantId, request)).toEqual({ state: 'running' });
  await db.pool.query(`update idempotent_requests set lease_until = now() where key = 'lost'`);
  const second = (await claimRequest(db.pool, tenantId, request)) as Claim;
  expect(second).toEqual({ state: 'claimed', id: first.id, claims: 2 });

  await finishRequest(db.pool, tenantId, request, first, { status: 201, sealedAnswer: 'first' });
  await releaseRequest(db.pool, tenantId, request, first);
  expect(await claimRequest(db.pool, tenantId, request)).toEqual({ state: 'running' });
  await finishRequest(db.pool, tenantId, request, second, { status: 202, sealedAnswer: 'second' });
  expect(await findRequest(db.pool, tenantId, request)).toMatchObject({ state: 'done', status: 202, answer: 'second' });
});

test('a lease is 60 s', async () => {
  await claimRequest(db.pool, tenantId, once('lease'));
  const { rows } = await db.pool.query(
    `select extract(epoch from lease_until - created_at)::int as seconds from idempotent_requests where key = 'lease'`,
  );
  expect(rows).toEqual([{ seconds: 60 }]);
});

test('expired rows go in batches', async () => {
  for (let n = 0; n < 5; n++) await claimRequest(db.pool, tenantId, once(`old-${n}`));
  await db.pool.query(`update idempotent_requests set created_at = now() - interval '24 hours' where key like 'old-%'`);
  expect(await findRequest(db.pool, tenantId, once('old-0'))).toBeUndefined();
  expect(await forgetExpired(db.pool, 3)).toEqual({ forgotten: 3, more: true });
  expect(await forgetExpired(db.pool, 3)).toEqual({ forgotten: 2, more: false });
});
