import { Client } from 'pg';
import { createKnownKeys } from '../../src/api/http/known-keys';
import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { revokeKey } from '../../src/db/store/administration';
import { ensureTenantKey, generateApiKey, hashApiKey, insertApiKey } from '../../src/db/store/api-keys';
import { parsePublicId } from '../../src/domain/ids';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase, queryOnce } from '../support/database';
import { type TestEnvironment, testEnvironment } from '../support/environment';
import { until } from '../support/until';
import { expectProblem, withDatabase } from './support';

/** Two api processes' worth of one database: what a key may have under way, and when it stops. */

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let env: TestEnvironment;
let adminKey: string;
const running: RunningApi[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  env = testEnvironment(database.url);
  adminKey = await makeAdminKey();
});
afterEach(async () => {
  for (const api of running.splice(0)) await api.stop();
});
afterAll(() => database?.drop());

const posthorn = () => ({ databaseUrl: database.url });
async function start(settings: Record<string, string> = {}): Promise<string> {
  const api = await startApi(readConfig({ ...env, ...settings }), createLog('silent'));
  running.push(api);
  return api.url;
}

async function makeAdminKey(): Promise<string> {
  const key = generateApiKey('test');
  const wanted = { owner: { kind: 'admin' } as const, name: null, expiresInMs: null, createdBy: 'test' };
  await withDatabase(posthorn(), ({ kysely }) => insertApiKey(kysely, key, wanted));
  return key;
}

let made = 0;
async function makeKey(url: string, more: object = {}): Promise<{ id: string; key: string }> {
  const admin = new TestApi(url, adminKey);
  const tenant = await admin.ok<{ id: string }>('POST', '/tenants', { name: `tenant ${++made}` });
  return admin.ok('POST', '/api-keys', { tenant_id: tenant.id, scopes: ['read'], ...more });
}

const statusOf = async (url: string, key: string, path = '/webhooks') =>
  (await new TestApi(url, key).call('GET', path)).status;
const untilRefused = (url: string, key: string, path?: string) =>
  until('the key to be refused', async () => (await statusOf(url, key, path)) === 401);

describe('a revoked key', () => {
  test('stops at once in the process that revoked it, also while it is in use, and soon in the other', async () => {
    const [one, two] = [await start(), await start()];
    for (let n = 0; n < 5; n++) {
      const { id, key } = await makeKey(one);
      expect([await statusOf(one, key), await statusOf(two, key)]).toEqual([200, 200]);
      let inUse = true;
      const use = (async () => {
        while (inUse) await Promise.all([statusOf(one, key), statusOf(one, key)]);
      })();
      await new TestApi(one, adminKey).ok('POST', `/api-keys/${id}/revoke`);
      expect(await statusOf(one, key)).toBe(401);
      inUse = false;
      await use;
      await untilRefused(two, key);
    }
  });

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['the command line', (id) => withDatabase(posthorn(), ({ kysely }) => revokeKey(kysely, id, 'cli'))],
    ['a statement', (id) => queryOnce(database.url, `update api_keys set revoked_at = now() where id = '${id}'`)],
    ['a row that is taken away', (id) => queryOnce(database.url, `delete from api_keys where id = '${id}'`)],
  ])('by %s stops in every process', async (_what, revoke) => {
    const [one, two] = [await start(), await start()];
    const { id, key } = await makeKey(one);
    expect([await statusOf(one, key), await statusOf(two, key)]).toEqual([200, 200]);
    await revoke(parsePublicId('apiKey', id)!);
    await untilRefused(one, key);
    await untilRefused(two, key);
  });

  test('of an administrator stops at once in every process', async () => {
    const [one, two] = [await start(), await start()];
    const key = await makeAdminKey();
    expect([await statusOf(one, key, '/tenants'), await statusOf(two, key, '/tenants')]).toEqual([200, 200]);
    await queryOnce(
      database.url,
      `update api_keys set revoked_at = now() where key_hash = '\\x${hashApiKey(key).toString('hex')}'`,
    );
    expect([await statusOf(one, key, '/tenants'), await statusOf(two, key, '/tenants')]).toEqual([401, 401]);
  });
});

test('scopes that are taken from a key are gone soon', async () => {
  const url = await start();
  const { id, key } = await makeKey(url, { scopes: ['read', 'manage'] });
  expect(await statusOf(url, key, '/audit-log')).toBe(200);
  const uuid = parsePublicId('apiKey', id);
  await queryOnce(database.url, `update api_keys set scopes = '{read}' where id = '${uuid}'`);
  await until('it to be refused', async () => (await statusOf(url, key, '/audit-log')) === 403);
});

test('a key is good up to its time by the clock of the database, and not after it', async () => {
  const url = await start();
  const { id, key } = await makeKey(url);
  await queryOnce(
    database.url,
    `update api_keys set expires_at = now() + interval '3 s' where id = '${parsePublicId('apiKey', id)}'`,
  );
  const isOver = async () => {
    const [row] = await queryOnce(
      database.url,
      `select expires_at <= clock_timestamp() as over from api_keys where id = '${parsePublicId('apiKey', id)}'`,
    );
    return row.over as boolean;
  };
  await until('it to be refused', async () => {
    const wasOver = await isOver();
    const status = await statusOf(url, key);
    if (wasOver) expect(status).toBe(401);
    if (!(await isOver())) expect(status).toBe(200);
    return status === 401;
  });
});

describe('what a process remembers of keys', () => {
  test('lasts less than a second from before it asked, and nothing of what was under way is kept', async () => {
    await withDatabase(posthorn(), async (db) => {
      const clock = { ms: 0 };
      const keys = createKnownKeys(db, () => clock.ms);
      const key = generateApiKey('test');
      const hash = hashApiKey(key);
      await ensureTenantKey(db.kysely, 'remembered', key);
      const revoke = (at: string) =>
        queryOnce(database.url, `update api_keys set revoked_at = ${at} where key_hash = '\\x${hash.toString('hex')}'`);

      expect(await keys.find(hash)).toMatchObject({ kind: 'tenant' });
      await revoke('now()');
      clock.ms = 300;
      expect(await keys.find(hash)).toBeDefined();
      clock.ms = 999;
      expect(await keys.find(hash)).toBeUndefined();

      await revoke('null');
      expect(await keys.find(hash)).toBeDefined();
      await revoke('now()');
      keys.invalidateAll();
      expect(await keys.find(hash)).toBeUndefined();

      // Asked before, answered after: for whoever asked, and for nobody else.
      await revoke('null');
      const lock = new Client({ connectionString: database.url });
      await lock.connect();
      await lock.query('begin');
      await lock.query('lock table api_keys in access exclusive mode');
      const early = keys.find(hash);
      await until('it to be asked', async () => {
        const [{ count }] = await queryOnce(
          database.url,
          `select count(*)::int from pg_stat_activity
           where datname = current_database() and application_name = 'test' and wait_event_type = 'Lock'`,
        );
        return count > 0;
      });
      keys.invalidateAll();
      await lock.query('commit');
      await lock.end();
      expect(await early).toBeDefined();
      await revoke('now()');
      expect(await keys.find(hash)).toBeUndefined();
    });
  });
});

describe('a process that has just started', () => {
  const manyKeys = async (count: number) => {
    const good = Array.from({ length: count }, () => generateApiKey('test'));
    await withDatabase(posthorn(), async ({ kysely }) => {
      for (const key of good) await ensureTenantKey(kysely, 'cold', key);
    });
    return good;
  };

  test('refuses no good key, however many come at once', async () => {
    const good = await manyKeys(300);
    const url = await start();
    const statuses = await Promise.all(good.map((key) => statusOf(url, key)));
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });

  test('refuses none for the sake of those who guess beside it, and these are bounded', async () => {
    const good = await manyKeys(100);
    const url = await start();
    const all = Array.from({ length: 300 }, (_, n) => (n % 3 === 0 ? good[n / 3]! : generateApiKey('test')));
    const answers = await Promise.all(all.map((key) => new TestApi(url, key).call('GET', '/webhooks')));
    const of = (isGood: boolean) => answers.filter((_, n) => (n % 3 === 0) === isGood).map(({ status }) => status);
    expect(of(true).filter((status) => status !== 200)).toEqual([]);
    expect(of(false).filter((status) => status !== 401 && status !== 429)).toEqual([]);
    expect(of(false).filter((status) => status === 429).length).toBeGreaterThan(80);
    // The turns of wrong keys are used up, and a good one that is new here still is good.
    const [late] = await manyKeys(1);
    expect(await statusOf(url, late!)).toBe(200);
  });
});

describe('requests under way', () => {
  test('are bounded for each key: one more is answered 429, others and later ones are served', async () => {
    const url = await start({ POSTHORN_API_MAX_CONCURRENT_REQUESTS: '3' });
    const [{ key }, other] = [await makeKey(url), await makeKey(url)];
    const api = new TestApi(url, key);
    const lock = new Client({ connectionString: database.url });
    await lock.connect();
    await lock.query('begin');
    await lock.query('lock table webhooks in access exclusive mode');
    const waiting = Array.from({ length: 3 }, () => api.call('GET', '/webhooks'));
    const refused = await until('one to be refused', async () => {
      const gone = new AbortController();
      const answer = fetch(`${url}/api/v1/event-types`, {
        headers: { authorization: `Bearer ${key}` },
        signal: gone.signal,
      });
      return (await answer).status === 429 && api.call('GET', '/event-types');
    });
    expectProblem(refused, { status: 429, code: 'rate_limited' });
    expect(refused.body.detail).toMatch(/3 requests under way/);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await statusOf(url, other.key, '/event-types')).toBe(200);
    await lock.query('commit');
    await lock.end();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await statusOf(url, key, '/event-types')).toBe(200);
  });

  test('count until their handlers have ended, also where the caller has gone', async () => {
    const url = await start({ POSTHORN_API_MAX_CONCURRENT_REQUESTS: '3' });
    const { key } = await makeKey(url);
    const lock = new Client({ connectionString: database.url });
    await lock.connect();
    await lock.query('begin');
    await lock.query('lock table webhooks in access exclusive mode');
    const gone = new AbortController();
    const calls = Array.from({ length: 3 }, () =>
      fetch(`${url}/api/v1/webhooks`, { headers: { authorization: `Bearer ${key}` }, signal: gone.signal }),
    );
    await until('all to be under way', async () => (await statusOf(url, key, '/event-types')) === 429);
    gone.abort();
    await Promise.allSettled(calls);
    expect(await statusOf(url, key, '/event-types')).toBe(429);
    await lock.query('commit');
    await lock.end();
    await until('them to have ended', async () => (await statusOf(url, key, '/event-types')) === 200);
  });
});
