import {
  type Claim,
  claimRequest,
  findRequest,
  finishRequest,
  LEASE_MS,
  purgeExpired,
  releaseRequest,
  renewRequest,
} from '../../src/db/publish/idempotent-requests';
import { databaseForFile } from '../support/for-tests';
import { webhook } from './support';

const db = databaseForFile({ poolSize: 4, planner: 'default' });

const tenantId = webhook(1);
const once = (key: string) => ({ key, requestHash: Buffer.alloc(32, 1) });

test('whoever has lost the lease neither answers for its successor nor lets go of the key', async () => {
  const request = once('lost');
  const first = (await claimRequest(db.pool, tenantId, request)) as Claim;
  expect(await claimRequest(db.pool, tenantId, request)).toEqual({ state: 'running' });
  await db.pool.query(`update idempotent_requests set lease_until = now() where key = 'lost'`);
  const second = (await claimRequest(db.pool, tenantId, request)) as Claim;
  expect(second).toEqual({ state: 'claimed', id: first.id, claims: 2 });

  const row = (claim: Claim) => ({ tenantId, key: 'lost', id: claim.id, claims: claim.claims });
  expect(await finishRequest(db.pool, row(first), { status: 201, answer: 'first', headers: null })).toBe(false);
  expect(await releaseRequest(db.pool, row(first))).toBe(false);
  expect(await renewRequest(db.pool, row(first))).toBe(false);
  expect(await claimRequest(db.pool, tenantId, request)).toEqual({ state: 'running' });
  expect(await finishRequest(db.pool, row(second), { status: 202, answer: 'second', headers: null })).toBe(true);
  expect(await findRequest(db.pool, tenantId, request)).toMatchObject({ state: 'done', status: 202, answer: 'second' });
});

const secondsLeft = async (key: string) => {
  const { rows } = await db.pool.query(
    'select extract(epoch from lease_until - now())::float as seconds from idempotent_requests where key = $1',
    [key],
  );
  return rows[0].seconds;
};

test('a lease is 15 s, and who serves the request may renew it, also where it has run out', async () => {
  const claim = (await claimRequest(db.pool, tenantId, once('lease'))) as Claim;
  const { rows } = await db.pool.query(
    `select extract(epoch from lease_until - created_at)::int as seconds from idempotent_requests where key = 'lease'`,
  );
  expect(rows).toEqual([{ seconds: LEASE_MS / 1_000 }]);
  await db.pool.query(`update idempotent_requests set lease_until = now() - interval '1 h' where key = 'lease'`);
  expect(await renewRequest(db.pool, { tenantId, key: 'lease', id: claim.id, claims: claim.claims })).toBe(true);
  expect(await secondsLeft('lease')).toBeGreaterThan(0);
});

test('what was let go of is free, and a renewal that comes late does not take it back', async () => {
  const claim = (await claimRequest(db.pool, tenantId, once('free'))) as Claim;
  const row = { tenantId, key: 'free', id: claim.id, claims: claim.claims };
  expect(await releaseRequest(db.pool, row)).toBe(true);
  expect(await renewRequest(db.pool, row)).toBe(false);
  expect(await claimRequest(db.pool, tenantId, once('free'))).toEqual({ state: 'claimed', id: claim.id, claims: 3 });
});

test('expired rows go in batches', async () => {
  for (let n = 0; n < 5; n++) await claimRequest(db.pool, tenantId, once(`old-${n}`));
  await db.pool.query(`update idempotent_requests set created_at = now() - interval '24 hours' where key like 'old-%'`);
  expect(await findRequest(db.pool, tenantId, once('old-0'))).toBeUndefined();
  expect(await purgeExpired(db.pool, 3)).toEqual({ purged: 3, more: true });
  expect(await purgeExpired(db.pool, 3)).toEqual({ purged: 2, more: false });
});
