import { setTimeout as sleep } from 'node:timers/promises';
import { TestApi } from '../support/api';
import { createTestDatabase, queryOnce } from '../support/database';
import { type TestEnvironment, testEnvironment } from '../support/environment';
import type { OwnPostgres } from '../support/own-servers';
import { type RoleProcess, startRole } from '../support/processes';
import type { ReceivedRequest, Receiver } from '../support/receiver';
import { until } from '../support/until';

/** Posthorn in processes of its own, which a test may kill. `stop` ends whatever of them still runs. */
export type Site = {
  env: TestEnvironment;
  startApi(overrides?: Record<string, string>): Promise<TestApi>;
  startWorker(overrides?: Record<string, string>): Promise<RoleProcess>;
  /** Everything that the processes wrote so far. */
  output(): string[];
  query(sql: string): Promise<any[]>;
  /** Ends the processes; the database stays. */
  halt(): Promise<void>;
  stop(): Promise<void>;
};

/** On a database of its own in the run's Postgres, unless `databaseUrl` names another. */
export async function createSite(
  overrides: Record<string, string> = {},
  databaseUrl?: string,
  logLevel?: 'info' | 'debug',
): Promise<Site> {
  const database = databaseUrl ? { url: databaseUrl, drop: async () => undefined } : await createTestDatabase();
  const env = testEnvironment(database.url, overrides);
  const started: RoleProcess[] = [];
  let stopped: Promise<void> | undefined;
  const start = async (role: 'api' | 'worker', more: Record<string, string> = {}) => {
    const process = await startRole(role, { ...env, ...more }, logLevel);
    started.push(process);
    return process;
  };
  return {
    env,
    startApi: async (more) => new TestApi((await start('api', more)).url!, env.POSTHORN_BOOTSTRAP_KEY),
    startWorker: (more) => start('worker', more),
    output: () => started.flatMap(({ lines, errors }) => [...lines, ...errors]),
    query: (sql) => queryOnce(database.url, sql),
    halt: async () => void (await Promise.all(started.map((process) => process.stop()))),
    stop() {
      stopped ??= Promise.all(started.map((process) => process.stop())).then(() => database.drop());
      return stopped;
    },
  };
}

/** For tests in which the reconciler has to come by: it does so every second, for whatever is a second late. */
export const EAGER_RECONCILER = { POSTHORN_RECONCILE_EVERY: '1s', POSTHORN_RECONCILE_AFTER: '1s' };

/** Until a statement like this one waits for a lock. */
export async function untilLockedOut(site: Site, statement: string, limitMs?: number): Promise<void> {
  const sql = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '${statement}'`;
  await until(`${statement} to wait for a lock`, async () => (await site.query(sql)).length > 0, limitMs);
}

/** Without its database the api says so, soon, and when to come again. */
export async function expectUnavailable(api: TestApi): Promise<void> {
  const began = performance.now();
  const answer = await api.call('POST', '/events', { type: 'a.b', data: {} });
  expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(performance.now() - began).toBeLessThan(10_000);
}

type UnderLoad = { api: TestApi; postgres: OwnPostgres; receiver: Receiver; limitMs: number };

/**
 * Publishes `load.on` by twenty producers at once, for a receiver that takes it, while Postgres crashes again and again;
 * the ids of the events that were answered 202, and every status that came.
 */
export async function publishThroughCrashes(
  crashes: number,
  { api, postgres, receiver, limitMs }: UnderLoad,
): Promise<{ accepted: string[]; statuses: Set<number> }> {
  const accepted: string[] = [];
  const statuses = new Set<number>();
  let publishing = true;
  const producers = Array.from({ length: 20 }, async () => {
    while (publishing) {
      const answer = await api.call('POST', '/events', { type: 'load.on', data: {} });
      statuses.add(answer.status);
      if (answer.status === 202) accepted.push(answer.body.id);
      else await sleep(50); // as any client would
    }
  });
  await receiver.waitFor(20, limitMs);
  for (let crash = 0; crash < crashes; crash++) {
    const before = accepted.length;
    await postgres.crash();
    await expectUnavailable(api);
    await postgres.start();
    await until('publishing to go on', () => accepted.length >= before + 20, limitMs);
  }
  publishing = false;
  await Promise.all(producers);
  return { accepted, statuses };
}

/** Also while the api still answers 503, because its connections only come back. */
export async function untilDelivered(api: TestApi, id: string, limitMs: number): Promise<void> {
  await until(
    `${id} to be delivered`,
    async () => {
      const answer = await api.call('GET', `/deliveries/${id}`);
      return answer.status === 200 && answer.body.status === 'delivered';
    },
    limitMs,
  );
}

/** What tells attempts apart: the event and the number of the attempt, as the endpoint sees them. */
export const attemptsOf = (requests: readonly ReceivedRequest[]): string[] =>
  requests.map(({ headers }) => `${headers['webhook-id']} attempt ${headers['x-webhook-attempt']}`);

/** The numbers of the attempts that came, in order. */
export const numbersOf = (requests: readonly ReceivedRequest[]): number[] =>
  requests.map(({ headers }) => Number(headers['x-webhook-attempt']));

/** Items that occur more than once. */
export const repeated = (items: readonly string[]): string[] => [
  ...new Set(items.filter((item, i) => items.indexOf(item) !== i)),
];

/** Does `work` for 0 … count-1, `concurrency` at a time. */
export async function inParallel<T>(count: number, concurrency: number, work: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const path = async () => {
    for (let i = next++; i < count; i = next++) results[i] = await work(i);
  };
  await Promise.all(Array.from({ length: concurrency }, path));
  return results;
}

/** Waits without blocking, for a time that is itself what the test is about. */
export const pass = sleep;

/** A time that a promise speaks of, for the reader of the test's output. */
export function note(what: string, sinceMs: number): number {
  const seconds = Math.round((performance.now() - sinceMs) / 100) / 10;
  process.stderr.write(`    ${what}: ${seconds} s\n`);
  return seconds;
}
