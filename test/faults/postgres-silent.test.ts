import { asAdmin, makeThings, samples, type Things } from '../api/route-samples';
import { otherTenant } from '../api/support';
import type { TestApi } from '../support/api';
import { makeFailed } from '../support/failed';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import type { Installation } from '../support/installation';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers';
import { startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { attemptsOf, createSite, inParallel, pass, repeated, type Site } from './support';

/**
 * Postgres says nothing for a while: its processes are stopped, or a network holds its bytes back. Nothing ends and
 * nothing is refused, so what was sent is carried out afterwards, when those who sent it have given it up.
 */

/** Shorter and longer than a transaction may stand idle (30 s); both longer than a statement is waited for (12 s). */
const SILENCES_MS = [15_000, 40_000];
const LIMIT_MS = 150_000;
jest.setTimeout(SILENCES_MS.reduce((a, b) => a + b) + 5 * LIMIT_MS);

/** So that each writing route has a connection at hand at the moment of silence. */
const POOL = { POSTHORN_DB_POOL_SIZE: '40' };
const REPLAYED = 60;
/** Published at once when Postgres is back: more than there are connections, so that each is used. */
const BURST = 60;

type Silence = { begin(): void; end(): void };
type Stage = { postgres: OwnPostgres; proxy?: HoldingProxy; site: Site; silence: Silence };

let stages: Stage[] = [];
afterEach(async () => {
  for (const { silence } of stages) silence.end();
  for (const { site, proxy, postgres } of stages) {
    await site.stop();
    await proxy?.close();
    await postgres.remove();
  }
  stages = [];
});

async function stage(kind: 'frozen' | 'held'): Promise<Stage> {
  const postgres = await startOwnPostgres();
  if (kind === 'frozen') {
    const site = await createSite(POOL, postgres.url);
    return { postgres, site, silence: { begin: postgres.freeze, end: postgres.thaw } };
  }
  const url = new URL(postgres.url);
  const proxy = await startHoldingProxy(Number(url.port));
  url.port = String(proxy.port);
  const site = await createSite({ ...POOL, DATABASE_URL: url.href }, postgres.url);
  return { postgres, proxy, site, silence: { begin: proxy.hold, end: proxy.release } };
}

test('Postgres frozen, and held back by the network, for 15 s and 40 s: every 202 is kept, nothing is sent twice', async () => {
  // Side by side, because they mostly wait.
  const played = await Promise.allSettled([playOn('frozen', 1), playOn('held', 2)]);
  for (const one of played) if (one.status === 'rejected') throw one.reason;
});

async function playOn(kind: 'frozen' | 'held', workers: number): Promise<void> {
  const it = await stage(kind);
  stages.push(it);
  const { site, silence } = it;
  const api = await site.startApi();
  for (let n = 0; n < workers; n++) await site.startWorker();
  const receiver = await startReceiver();
  let loading = true;
  try {
    const policy = { schedule: ['1s', '1s', '5s'], jitter: 0 };
    for (const mode of ['express', 'workflow']) {
      await api.createWebhook(receiver, { events: ['load.on'], mode, retry_policy: policy });
    }
    const replayed = await makeFailed({ api, databaseUrl: it.postgres.url }, receiver, REPLAYED);
    await replayed.resume();
    const routes = await prepareRoutes(it, api);

    const accepted: string[] = [];
    const keyed = new Map<string, string>();
    const statuses = new Map<number, number>();
    const seen = ({ status, headers }: { status: number; headers: Headers }) => {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === 503) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    };
    /** Publishes without a key that were not answered 202: each may have been carried out all the same. */
    let unanswered = 0;
    const publishOne = async () => {
      const answer = await api.call('POST', '/events', { type: 'load.on', data: {} });
      seen(answer);
      if (answer.status === 202) accepted.push(answer.body.id);
      else unanswered++;
    };
    let keys = 0;
    /** The same request until it is answered, as a producer does; what it was first answered counts. */
    const publishKeyed = async (path: string, body: object, idsOf: (answer: any) => string[]) => {
      const key = `key-${kind}-${keys++}`;
      await until(
        `${path} to be served`,
        async () => {
          const answer = await api.call('POST', path, body, { 'idempotency-key': key });
          if (answer.status !== 409) seen(answer);
          // 200: with an id of its own, the event was published by a request that was given up on.
          if (answer.status >= 300) return void (await pass(500));
          for (const [i, id] of idsOf(answer.body).entries()) {
            accepted.push(id);
            keyed.set(`${key}/${i}`, id);
          }
          return true;
        },
        LIMIT_MS,
      );
    };
    const event = { type: 'load.on', data: {} };
    const producers = [
      publishOne,
      publishOne,
      publishOne,
      () => publishKeyed('/events', event, ({ id }) => [id]),
      () => publishKeyed('/events', { ...event, id: `own-${kind}-${keys}` }, ({ id }) => [id]),
      () => publishKeyed('/events/batch', { events: [event, event] }, ({ data }) => data.map(({ id }: any) => id)),
    ].map(async (publish) => {
      while (loading) {
        await publish();
        await pass(300);
      }
    });
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const replay = await api.ok('POST', `/webhooks/${replayed.webhook}/replay`, { since, rate_limit: '8/1s' });

    for (const silenceMs of SILENCES_MS) {
      // Keys are remembered for a moment, and a connection each is open: what comes next begins its transaction.
      await Promise.all(routes.map(({ tenant }) => tenant.call('GET', '/settings')));
      await Promise.all(Array.from({ length: 40 }, () => api.call('GET', '/events')));
      const before = accepted.length;
      silence.begin();
      const operators = routes.map(async ({ call }) => seen(await call()));
      await pass(silenceMs);
      silence.end();
      await Promise.all([...operators, ...Array.from({ length: BURST }, publishOne)]);
      await until('publishing to go on', () => accepted.length >= before + 20, LIMIT_MS);
      // A process that the silence has killed would be seen here.
      await Promise.all(routes.map(async ({ call }) => seen(await call())));
    }
    loading = false;
    await Promise.all(producers);

    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([503]);
    await until(
      'no session to be in a transaction that nobody goes on with',
      async () => {
        const open = await site.query(`select 1 from pg_stat_activity
            where state like 'idle in transaction%' and application_name like 'posthorn%'`);
        return open.length === 0;
      },
      20_000, // sooner than Postgres ends them itself
    );
    await until(
      'all that was accepted to be delivered',
      async () => {
        const [row] = await site.query(
          `select count(*)::int as n from deliveries where event_type = 'load.on' and state <> 'delivered'`,
        );
        return row.n === 0;
      },
      LIMIT_MS,
    );
    await until(
      'the replay to be completed and sent',
      async () => {
        const { status } = await api.ok('GET', `/replays/${replay.id}`);
        const left = await site.query(
          `select 1 from deliveries where event_type = '${replayed.type}' and state <> 'delivered'`,
        );
        return status === 'completed' && left.length === 0;
      },
      LIMIT_MS,
    );

    // Every 202: the event can be read, and both of its deliveries arrived.
    const ids = [...new Set(accepted)];
    await inParallel(ids.length, 8, async (i) => {
      expect(await api.call('GET', `/events/${ids[i]}`)).toMatchObject({ status: 200 });
      expect((await api.deliveriesOf(ids[i]!)).map(({ status }) => status)).toEqual(['delivered', 'delivered']);
    });
    // One event for each place of each request with a key, however often it was sent.
    expect(new Set(keyed.values()).size).toBe(keyed.size);
    // What was given up on may have been published as well, but no request with a key twice.
    const [published] = await site.query(`select count(*)::int as n from events where type = 'load.on'`);
    expect(published.n).toBeGreaterThanOrEqual(ids.length);
    expect(published.n).toBeLessThanOrEqual(ids.length + unanswered);
    const sent = receiver.requests.map(
      ({ headers }) => `${headers['x-webhook-delivery']} ${headers['x-webhook-attempt']}`,
    );
    expect(repeated(sent)).toEqual([]);
    expect(await api.ok('GET', `/replays/${replay.id}`)).toMatchObject({
      total: REPLAYED,
      sent: REPLAYED,
      skipped: 0,
    });
    const again = attemptsOf(receiver.requests).filter((attempt) =>
      replayed.events.some((id) => attempt.startsWith(id)),
    );
    expect(again.sort()).toEqual(replayed.events.map((id) => `${id} attempt 2`).sort());
    process.stderr.write(`    ${kind}: ${ids.length} events, answers ${JSON.stringify([...statuses])}\n`);
  } finally {
    loading = false;
    await receiver.close();
  }
}

type Route = { tenant: TestApi; call: () => Promise<{ status: number; headers: Headers }> };

/** Every route that writes, each with a tenant and things of its own; publishes are under way anyhow. */
async function prepareRoutes({ postgres }: Stage, api: TestApi): Promise<Route[]> {
  const posthorn = { api, databaseUrl: postgres.url } as Installation;
  const admin = await asAdmin(posthorn);
  const writing = Object.entries(samples).filter(([name]) => !/^POST \/events(\/batch)?$/.test(name));
  return inParallel(writing.length, 4, async (i) => {
    const [name, sample] = writing[i]!;
    const tenant = await otherTenant(posthorn, `tenant ${i}`);
    const things = await makeThings(posthorn, tenant, sample);
    await sample.prepare?.(posthorn, things);
    const [method, path] = name.split(' ') as [string, string];
    const caller = /^\/(tenants|api-keys)/.test(path) ? admin : tenant;
    return { tenant: caller, call: () => caller.call(method, fill(path, things), sample.body?.(things)) };
  });
}

function fill(path: string, things: Things): string {
  const names: Record<string, string | undefined> = {
    ...{ webhook: things.webhook, delivery: things.delivery, event: things.event, replay: things.replay },
    ...{ name: things.eventTypeName, key: things.apiKey },
  };
  return path.replace(/:(\w+)/g, (_, name: string) => names[name]!);
}
