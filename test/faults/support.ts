import { TestApi } from '../support/api';
import { createTestDatabase, queryOnce } from '../support/database';
import { type TestEnvironment, testEnvironment } from '../support/environment';
import { type RoleProcess, startRole } from '../support/processes';
import type { ReceivedRequest } from '../support/receiver';

/** Posthorn in processes of its own, which a test may kill. `stop` ends whatever of them still runs. */
export type Site = {
  env: TestEnvironment;
  startApi(): Promise<TestApi>;
  startWorker(): Promise<RoleProcess>;
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
  const start = async (role: 'api' | 'worker') => {
    const process = await startRole(role, env, logLevel);
    started.push(process);
    return process;
  };
  return {
    env,
    startApi: async () => new TestApi((await start('api')).url!, env.POSTHORN_BOOTSTRAP_KEY),
    startWorker: () => start('worker'),
    output: () => started.flatMap(({ lines, errors }) => [...lines, ...errors]),
    query: (sql) => queryOnce(database.url, sql),
    halt: async () => void (await Promise.all(started.map((process) => process.stop()))),
    async stop() {
      await Promise.all(started.map((process) => process.stop()));
      await database.drop();
    },
  };
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
  const lane = async () => {
    for (let i = next++; i < count; i = next++) results[i] = await work(i);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return results;
}

/** Waits without blocking, for a time that is itself what the test is about. */
export { setTimeout as pass } from 'node:timers/promises';

/** A time that a promise speaks of, for the reader of the test's output. */
export function note(what: string, sinceMs: number): number {
  const seconds = Math.round((performance.now() - sinceMs) / 100) / 10;
  process.stderr.write(`    ${what}: ${seconds} s\n`);
  return seconds;
}
