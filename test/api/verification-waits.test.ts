import { request } from 'node:http';
import { MAX_WAITS } from '../../src/api/verification-waits';
import { parsePublicId } from '../../src/domain/ids';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { until } from '../support/until';
import { expectProblem, otherTenant, sql } from './support';

/** Requests that wait for the end of a verification. Nobody works here, so that they wait until a test ends the round. */

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

let made = 0;
async function pending(count: number): Promise<{ api: TestApi; ids: string[] }> {
  const api = await otherTenant(posthorn, `waiting ${++made}`);
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push((await api.createWebhook({ url: 'http://127.0.0.1:9' })).id);
  await setPending(ids, true);
  return { api, ids };
}
const setPending = (ids: string[], is: boolean) =>
  sql(
    posthorn,
    `update webhooks set verification_pending_since = ${is ? 'now()' : 'null'}, verified_at = ${is ? 'null' : 'now()'}
     where id = any($1)`,
    [ids.map((id) => parsePublicId('webhook', id))],
  );
const wait = (api: TestApi, id: string) => api.call('POST', `/webhooks/${id}/verify?wait=true`);
const waiting = async <T>(promises: Promise<T>[]) => {
  let ended = 0;
  for (const promise of promises) void promise.finally(() => ended++);
  return () => ended;
};

test('a tenant has a limit of requests that wait at once: one more is refused, and others are not', async () => {
  const { api, ids } = await pending(2);
  const all = Array.from({ length: MAX_WAITS.perKey + 5 }, (_, n) => wait(api, ids[n % 2]!));
  const ended = await waiting(all);
  await until('those that are too many to be answered', async () => ended() === 5);
  const other = await pending(1);
  const otherAnswer = wait(other.api, other.ids[0]!);
  // Without waiting, it is answered at once.
  expect((await api.call('POST', `/webhooks/${ids[0]}/verify`)).status).toBe(202);
  await setPending([...ids, ...other.ids], false);

  const answers = await Promise.all(all);
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(5);
  for (const answer of refused) {
    expectProblem(answer, { status: 429, code: 'rate_limited' });
    expect(answer.body.detail).toContain(`${MAX_WAITS.perKey} of one tenant`);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  const served = answers.filter(({ status }) => status === 200);
  expect(served).toHaveLength(MAX_WAITS.perKey);
  for (const { body } of served) expect(body.verification.status).toBe('verified');
  expect((await otherAnswer).status).toBe(200);
});

test('requests that wait share one look at the database; each is answered when its own round ends', async () => {
  const tenants = await Promise.all(Array.from({ length: 5 }, () => pending(2)));
  const before = await selects();
  const began = performance.now();
  const answers = tenants.flatMap(({ api, ids }) =>
    ids.flatMap((id) => Array.from({ length: 8 }, () => wait(api, id))),
  );
  const ended = await waiting(answers);
  await until('some looks', async () => performance.now() - began > 3_000);
  expect(ended()).toBe(0);
  const looks = (await selects()) - before;
  // 80 that wait would have looked 30 times each by now.
  expect(looks).toBeLessThan(80 * 12);
  await setPending([tenants[0]!.ids[0]!], false);
  await until('the eight of one round to be answered', async () => ended() === 8);
  await setPending(
    tenants.flatMap(({ ids }) => ids),
    false,
  );
  expect((await Promise.all(answers)).every(({ status }) => status === 200)).toBe(true);
});

/** Statements that were begun in this database so far, as far as transactions tell. */
async function selects(): Promise<number> {
  const [row] = await sql<{ n: number }>(
    posthorn,
    `select (xact_commit + xact_rollback)::int as n from pg_stat_database where datname = current_database()`,
  );
  return row!.n;
}

test('a client that goes away gives its place back', async () => {
  const { api, ids } = await pending(1);
  const url = `${api.url}/api/v1/webhooks/${ids[0]}/verify?wait=true`;
  const statuses: unknown[] = [];
  // One more than there are places.
  const asked = Array.from({ length: MAX_WAITS.perKey + 1 }, () => {
    const one = request(url, { method: 'POST', headers: { authorization: `Bearer ${api.key}` } });
    one.on('error', () => undefined);
    one.on('response', ({ statusCode }) => statuses.push(statusCode));
    one.end();
    return one;
  });
  await until('all places to be taken', async () => statuses.includes(429));
  expect(statuses).toEqual([429]);
  for (const one of asked) one.destroy();
  const ending = setInterval(() => void setPending(ids, false), 100);
  try {
    await until('a place', async () => (await wait(api, ids[0]!)).status === 200);
  } finally {
    clearInterval(ending);
  }
  // None of them was answered at its own end.
  expect(statuses).toEqual([429]);
});

test('a webhook that is deleted meanwhile is not found', async () => {
  const { api, ids } = await pending(1);
  const answer = wait(api, ids[0]!);
  const ended = await waiting([answer]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(ended()).toBe(0);
  await api.ok('DELETE', `/webhooks/${ids[0]}`);
  expectProblem(await answer, { status: 404, code: 'not_found' });
});
