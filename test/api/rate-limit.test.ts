import { generateApiKey } from '../../src/db/store/api-keys';
import { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { expectProblem, otherTenant, send, sql } from './support';

describe('a key that makes too many requests', () => {
  let posthorn: Installation;
  // An hour: nothing comes back while the test runs.
  beforeAll(async () => {
    posthorn = await startInstallation({ POSTHORN_API_RATE_LIMIT: '3/1h' }, { worker: false });
  });
  afterAll(() => posthorn?.stop());

  test('is told what is left, then refused and told when to come again; other keys go on', async () => {
    const { api } = posthorn;
    const left: (string | null)[] = [];
    // Refusals of other kinds count as well.
    for (const path of ['/webhooks', '/webhooks/wh_x', '/tenants']) {
      const answer = await api.call('GET', path);
      expect(answer.headers.get('ratelimit-policy')).toBe('"key";q=3;w=3600');
      left.push(answer.headers.get('ratelimit'));
    }
    expect(left.map((text) => text?.replace(/;t=\d+$/, ''))).toEqual(['"key";r=2', '"key";r=1', '"key";r=0']);

    const before = await sql(posthorn, 'select count(*) from events');
    const refused = await api.call('POST', '/events', { type: 'a', data: {} });
    expectProblem(refused, { status: 429, code: 'rate_limited' });
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(1_100);
    expect(seconds).toBeLessThanOrEqual(1_200);
    expect(refused.headers.get('ratelimit')).toMatch(/^"key";r=0;t=3[56]\d\d$/);
    expect(await sql(posthorn, 'select count(*) from events')).toEqual(before);

    await (await otherTenant(posthorn)).ok('GET', '/webhooks');
  });

  test('probes and what has no key are not counted', async () => {
    for (let n = 0; n < 5; n++) {
      expect((await send(posthorn.api, 'GET', '/livez', { key: null })).headers.get('ratelimit')).toBeNull();
      expect((await send(posthorn.api, 'GET', '/api/v1/webhooks', { key: null })).status).toBe(401);
    }
  });
});

describe('guessing', () => {
  const GUESSES = 60;
  let posthorn: Installation;
  beforeAll(async () => {
    posthorn = await startInstallation({ POSTHORN_TRUSTED_PROXIES: '127.0.0.0/8' }, { worker: false });
  });
  afterAll(() => posthorn?.stop());

  const from = (address: string, key: string) =>
    new TestApi(posthorn.api.url, key).call('GET', '/webhooks', undefined, { 'x-forwarded-for': address });
  const guess = (address: string) => from(address, generateApiKey('test'));

  test('from one address is cut short, many at once included; keys that were good before still are', async () => {
    const { api } = posthorn;
    expect((await from('192.0.2.1', api.key)).status).toBe(200);
    const guesses = await Promise.all(Array.from({ length: 2 * GUESSES }, () => guess('192.0.2.1')));
    const refused = guesses.filter(({ status }) => status === 429);
    expect(guesses.filter(({ status }) => status === 401).length + refused.length).toBe(guesses.length);
    // One comes back each second while this runs.
    expect(refused.length).toBeGreaterThan(GUESSES / 2);
    expectProblem(refused[0]!, { status: 429, code: 'rate_limited' });
    expect(Number(refused[0]!.headers.get('retry-after'))).toBeGreaterThan(0);

    expect((await from('192.0.2.1', api.key)).status).toBe(200);
    expect((await guess('192.0.2.2')).status).toBe(401);
  });

  test('does not use up what good keys need', async () => {
    for (let n = 0; n <= GUESSES; n++) {
      const fresh = await otherTenant(posthorn, `fresh ${n}`);
      expect((await from('192.0.2.3', fresh.key)).status).toBe(200);
    }
    expect((await guess('192.0.2.3')).status).toBe(401);
  });
});

test('who is no trusted proxy can not name another address', async () => {
  const posthorn = await startInstallation({}, { worker: false });
  try {
    const guess = (n: number) =>
      new TestApi(posthorn.api.url, generateApiKey('test')).call('GET', '/webhooks', undefined, {
        'x-forwarded-for': `192.0.2.${n}`,
      });
    const answers = await Promise.all(Array.from({ length: 120 }, (_, n) => guess(n)));
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(30);
  } finally {
    await posthorn.stop();
  }
});
