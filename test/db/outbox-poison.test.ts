import type { Pool } from 'pg';
import { openDatabase } from '../../src/db/database';
import { FIRST_TENANT, nextBatches } from '../../src/db/publish/operational-batches';
import { MAX_TRIES, publishBatch, purgeSetAside } from '../../src/db/publish/operational-outbox';
import { MAX_FAN_OUT } from '../../src/db/publish/publish-operational';
import { createLog, type Log } from '../../src/log';
import { until } from '../support/until';
import { outboxForFile, publishOutbox, webhook } from './support';

/** Whoever has a row that cannot be published; its id is before and after those of the others. */
const BAD = [webhook(1), webhook(9)];
const GOOD = [webhook(2), webhook(3), webhook(8)];
const GOOD_ROWS = 30;
const TYPE = 'posthorn.webhook.failing';

const { db, start: startWith } = outboxForFile();
let pool: Pool;

beforeAll(async () => {
  pool = db.pool;
});
beforeEach(async () => {
  for (const tenant of [...GOOD, ...BAD]) await subscribe(tenant, 'posthorn.*', tenant);
});

const subscribe = (tenant: string, pattern: string, listening: string) =>
  pool.query('insert into subscriptions (tenant_id, pattern, webhook_id) values ($1, $2, $3)', [
    tenant,
    pattern,
    listening,
  ]);

const raise = (tenant: string, { details = '{}', type = TYPE, rows = 1 } = {}) =>
  pool.query(
    `insert into operational_outbox (tenant_id, type, webhook_id, details)
     select $1, $2, $1, $3::jsonb from generate_series(1, $4)`,
    [tenant, type, details, rows],
  );
const raiseGood = () => Promise.all(GOOD.map((tenant) => raise(tenant, { rows: GOOD_ROWS })));

/** Every event of this tenant, or of this type, meets this plpgsql. */
const poison = (where: string, what: string) =>
  pool.query(`
    create function poison() returns trigger language plpgsql as $$ begin
      if ${where} then ${what}; end if; return new; end $$;
    create trigger poison before insert on events for each row execute function poison()`);
const ofTheBad = `new.tenant_id in ('${BAD.join("', '")}')`;

const count = async (table: string, where = 'true') =>
  (await pool.query(`select count(*)::int as n from ${table} where ${where}`)).rows[0].n as number;
const deliveredTo = (tenant: string) => count('delivery_queue', `tenant_id = '${tenant}'`);
const left = () =>
  pool
    .query('select tenant_id, tries, error_code, set_aside_at from operational_outbox order by tenant_id, id')
    .then(({ rows }) => rows);

/** The publisher of a worker, and what it logs. */
function start(): any[] {
  const lines: any[] = [];
  const log = new Proxy(createLog('silent'), {
    get: (target, name, self) =>
      name === 'warn' || name === 'info' ? (line: unknown) => lines.push(line) : Reflect.get(target, name, self),
  }) as Log;
  startWith(log);
  return lines;
}

type Poison = [what: string, arrange: () => Promise<unknown>];
const KINDS: Poison[] = [
  ['an id in its details that is none', () => each({ details: '{"event_id":"not-a-uuid"}' })],
  ['details that are a list', () => each({ details: '[1,2]' })],
  ['details that are null', () => each({ details: 'null' })],
  ['an id that is an object', () => each({ details: '{"event_id":{"a":1}}' })],
  ['details of a megabyte', () => each({ details: JSON.stringify({ text: 'x'.repeat(1_000_000) }) })],
  ['details too deep to be written', () => each({ details: `{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}` })],
  ['a trigger that refuses its tenant', () => each().then(() => poison(ofTheBad, `raise exception 'no'`))],
  [
    'a trigger that refuses its type',
    () =>
      each({ type: 'posthorn.delivery.failed' }).then(() =>
        poison(`new.type = 'posthorn.delivery.failed'`, `raise exception using errcode = '23505'`),
      ),
  ],
  [
    'an error that looks like trouble of the server',
    () => each().then(() => poison(ofTheBad, `raise exception using errcode = '53100'`)),
  ],
  [
    'an error that looks like a missing partition',
    () => each().then(() => poison(ofTheBad, `raise exception using errcode = '23514'`)),
  ],
  ['a statement that takes for ever', () => each().then(() => poison(ofTheBad, 'perform pg_sleep(60)'))],
];
const each = (row: { details?: string; type?: string } = {}) =>
  Promise.all(BAD.map((tenant) => raise(tenant, { ...row, rows: 3 })));

describe("one tenant's rows do not hold up another's", () => {
  test.each(KINDS)('%s', async (_, arrange) => {
    await arrange();
    await raiseGood();
    start();
    await until('the others to be published', async () => {
      const counts = await Promise.all(GOOD.map(deliveredTo));
      return counts.every((n) => n === GOOD_ROWS);
    });
    const rows = await left();
    // What is not gone belongs to the bad ones, and waits.
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ tenant_id }) => !BAD.includes(tenant_id))).toEqual([]);
    await until('the bad rows to be counted', async () => (await left()).some(({ error_code }) => error_code !== null));
  });

  test('one row does not hold up its own tenant: those around it are published, in their order', async () => {
    const tenant = GOOD[0]!;
    await raise(tenant, { rows: 2 });
    await raise(tenant, { details: '{"event_id":"nonsense"}' });
    await raise(tenant, { type: 'posthorn.delivery.failed' });
    await raise(tenant, { rows: 2 });
    await poison(`new.type = 'posthorn.delivery.failed'`, `raise exception 'no'`);
    const [result] = await publishOutbox(pool);
    expect(result).toMatchObject({ published: 4 });
    expect(result!.failures.map(({ errorCode, tries }) => ({ errorCode, tries }))).toEqual([
      { errorCode: 'unusable_details', tries: 1 },
      { errorCode: 'P0001', tries: 1 },
    ]);
    // They wait: the next batch has nothing for this tenant.
    expect(await publishOutbox(pool)).toEqual([]);
  });

  test('a tenant with very many rows has one batch, and then come the others', async () => {
    await raise(BAD[0]!, { rows: 500 });
    await raiseGood();
    const { batches } = await nextBatches(pool, FIRST_TENANT, 50);
    expect(batches.map(({ tenantId }) => tenantId)).toEqual([BAD[0], ...GOOD]);
    const sizes = batches.map(({ rows }) => rows.length);
    expect(new Set(sizes).size).toBe(1);
  });

  test('every tenant has its batch, however many there are', async () => {
    const tenants = Array.from({ length: 7 }, (_, n) => webhook(100 + n));
    for (const tenant of tenants) await raise(tenant);
    const seen: string[] = [];
    let after: string | undefined = FIRST_TENANT;
    while (after !== undefined) {
      const next: Awaited<ReturnType<typeof nextBatches>> = await nextBatches(pool, after, 3);
      seen.push(...next.batches.map(({ tenantId }) => tenantId));
      after = next.cursor;
    }
    expect(seen).toEqual(tenants);
  });

  test('a clock that has jumped to a week without a partition stops nobody', async () => {
    await raiseGood();
    const now = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 400 * 86_400_000);
    await publishOutbox(pool);
    await publishOutbox(pool);
    now.mockRestore();
    expect(await left()).toEqual([]);
    expect(await count('events')).toBe(GOOD.length * GOOD_ROWS);
  });

  test('rows of a tenant that is gone do no harm', async () => {
    await raise(webhook(77));
    await raise(GOOD[0]!);
    await publishOutbox(pool);
    expect(await left()).toEqual([]);
    expect(await deliveredTo(GOOD[0]!)).toBe(1);
  });
});

describe('fan-out', () => {
  test('an operational event goes to so many webhooks at most, those that were registered first', async () => {
    const tenant = BAD[0]!;
    await pool.query(
      `insert into subscriptions (tenant_id, pattern, webhook_id)
       select $1, p, ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid
       from generate_series(1, 5000) n, unnest('{posthorn.*,posthorn.webhook.*}'::text[]) p`,
      [tenant],
    );
    await raise(tenant, { rows: 2 });
    await raiseGood();
    const results = await publishOutbox(pool);
    expect(results.map(({ cut }) => cut)).toEqual([true, false, false, false]);
    expect(await deliveredTo(tenant)).toBe(2 * MAX_FAN_OUT);
    expect(await count('deliveries', `tenant_id = '${tenant}'`)).toBe(2 * MAX_FAN_OUT);
    const { rows } = await pool.query('select max(webhook_id::text) as last from delivery_queue where tenant_id = $1', [
      tenant,
    ]);
    // The first is the tenant's own of this file.
    expect(rows[0].last).toBe(`00000000-0000-7000-9000-${String(MAX_FAN_OUT - 1).padStart(12, '0')}`);
  });
});

describe('an end', () => {
  const tenant = BAD[0]!;
  const due = () => pool.query(`update operational_outbox set next_try_at = 'epoch'`);
  beforeEach(() => raise(tenant, { details: '{"event_id":"nonsense"}' }));

  test('after so many tries over some time the row is set aside, with a warning that names it', async () => {
    for (let tries = 1; tries < MAX_TRIES; tries++) {
      await publishOutbox(pool);
      await due();
    }
    await pool.query(`update operational_outbox set failing_since = now() - interval '1 hour'`);
    const lines = start();
    const line = await until('the warning', async () =>
      lines.find(({ event }) => event === 'operational_event_dropped'),
    );
    expect(line).toMatchObject({
      outbox_id: expect.any(String),
      tenant_id: expect.stringMatching(/^ten_/),
      webhook_id: expect.stringMatching(/^wh_/),
      ...{ type: TYPE, error_code: 'unusable_details', tries: MAX_TRIES },
    });
    expect(await left()).toEqual([
      { tenant_id: tenant, tries: MAX_TRIES, error_code: 'unusable_details', set_aside_at: expect.any(Date) },
    ]);
    // No batch any more.
    await due();
    expect((await nextBatches(pool, FIRST_TENANT, 50)).batches).toEqual([]);
  });

  test('not after as many tries within moments', async () => {
    for (let tries = 1; tries <= MAX_TRIES + 2; tries++) {
      await publishOutbox(pool);
      await due();
    }
    expect(await left()).toMatchObject([{ tries: MAX_TRIES + 2, set_aside_at: null }]);
  });

  test('each try is later than the one before', async () => {
    const waits: number[] = [];
    for (let tries = 1; tries <= 5; tries++) {
      await publishOutbox(pool);
      const { rows } = await pool.query(
        'select extract(epoch from next_try_at - now())::float8 as s from operational_outbox',
      );
      waits.push(rows[0].s);
      await due();
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits.at(-1)! / waits[0]!).toBeGreaterThan(4);
  });

  test('what was set aside long ago is deleted', async () => {
    await raise(GOOD[0]!, { rows: 2 });
    await pool.query(
      `update operational_outbox set set_aside_at = now() - interval '31 days' where tenant_id = '${tenant}'`,
    );
    expect(await purgeSetAside(pool, 100)).toBe(1);
    expect(await count('operational_outbox')).toBe(2);
  });
});

describe('an outage uses up no tries', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['the server ends its connections', async () => poison(ofTheBad, 'perform pg_terminate_backend(pg_backend_pid())')],
    ['the disk is full', () => poison(ofTheBad, `raise exception using errcode = '53100'`)],
    ['the server is a read-only standby', () => poison(ofTheBad, `raise exception using errcode = '25006'`)],
  ])('%s', async (_, arrange) => {
    await raise(BAD[0]!);
    await arrange();
    for (let round = 0; round < 3; round++) {
      await pool.query(`update operational_outbox set next_try_at = 'epoch'`);
      await publishOutbox(pool).catch(() => undefined);
    }
    expect(await left()).toMatchObject([{ tries: 0, set_aside_at: null }]);
    await pool.query(`drop trigger poison on events; update operational_outbox set next_try_at = 'epoch'`);
    await publishOutbox(pool);
    expect(await left()).toEqual([]);
  });

  test('a connection that is refused', async () => {
    const nowhere = openDatabase({
      ...{ url: 'postgres://127.0.0.1:9/none', poolSize: 1, applicationName: 'test', planner: 'queue' },
    });
    await raise(GOOD[0]!);
    const { batches } = await nextBatches(pool, FIRST_TENANT, 1);
    await expect(publishBatch(nowhere.pool, batches[0]!)).rejects.toThrow();
    await nowhere.close();
    expect(await left()).toMatchObject([{ tries: 0, error_code: null }]);
  });
});
