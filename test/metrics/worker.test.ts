import { createSite, type Site } from '../faults/support';
import type { TestApi } from '../support/api';
import { type Receiver, type ReceiverAnswer, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { metricsUrl, type Scrape, scrape } from './support';

const PATHS = ['express', 'workflow'] as const;

let site: Site;
let api: TestApi;
let url: string;
let receiver: Receiver;
const secrets: string[] = [];
const ids: string[] = [];

beforeAll(async () => {
  site = await createSite({ POSTHORN_ADMIN_PORT: '0' });
  api = await site.startApi();
  url = metricsUrl((await site.startWorker()).lines);
});
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());
afterAll(() => site?.stop());

async function deliver(type: string, path: string, count: number, settings = {}): Promise<string[]> {
  const webhook = await api.createWebhook(receiver, { events: [type], mode: path, ...settings });
  const deliveries = await api.publishDeliveries(type, count);
  secrets.push(webhook.secret);
  ids.push(webhook.id, ...deliveries);
  return deliveries;
}

const attempts = (of: Scrape, path: string, outcome: string) =>
  of.value(`posthorn_attempts_total{path="${path}",outcome="${outcome}"}`)!;

test('every series stands at 0 before there was anything to count', async () => {
  const { status, contentType, value, text } = await scrape(url);
  expect(status).toBe(200);
  expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  for (const path of PATHS) {
    for (const outcome of ['delivered', 'retrying', 'failed', 'cancelled']) {
      expect(value(`posthorn_attempts_total{path="${path}",outcome="${outcome}"}`)).toBe(0);
    }
    expect(value(`posthorn_attempt_duration_seconds_count{path="${path}"}`)).toBe(0);
    expect(value(`posthorn_claimed_deliveries_total{path="${path}"}`)).toBe(0);
    expect(value(`posthorn_deliveries_in_flight{path="${path}"}`)).toBe(0);
    expect(value(`posthorn_auto_switches_total{to="${path}"}`)).toBe(0);
  }
  expect(value('posthorn_auto_express')).toBe(0);
  expect(value('posthorn_requests_resent_total')).toBe(0);
  expect(text).toContain('# TYPE posthorn_attempts_total counter\n');
});

test.each(PATHS)('path %s: each attempt counts once, in its path, by how it came out', async (path) => {
  const other = path === 'express' ? 'workflow' : 'express';
  const before = await scrape(url);
  receiver.setHandler(({ body, headers }): ReceiverAnswer => {
    const { n } = JSON.parse(body.toString()).data;
    // Of four: two succeed, one at its second attempt, one never.
    return { status: n < 2 || (n === 2 && headers['x-webhook-attempt'] === '2') ? 200 : 500 };
  });
  const retry_policy = { initial: '200ms', factor: 1, max_attempts: 2, jitter: 0 };
  const deliveries = await deliver(`counted.${path}`, path, 4, { retry_policy });
  for (const [n, id] of deliveries.entries()) await api.untilStatus(id, n < 3 ? 'delivered' : 'failed');
  // An attempt is counted a moment after it is written down.
  const after = await until('all attempts to be counted', async () => {
    const now = await scrape(url);
    const all = (of: Scrape) => PATHS.map((one) => of.value(`posthorn_attempt_duration_seconds_count{path="${one}"}`)!);
    const [made, had] = [all(now), all(before)].map((counts) => counts[0]! + counts[1]!);
    return made! - had! >= 6 && now;
  });
  const more = (of: string, outcome: string) => attempts(after, of, outcome) - attempts(before, of, outcome);
  // Later attempts are the engine's: what express could not deliver went on as a workflow.
  const first = { delivered: more(path, 'delivered'), retrying: more(path, 'retrying'), failed: more(path, 'failed') };
  const rest = {
    delivered: more(other, 'delivered'),
    failed: more(other, 'failed'),
    retrying: more(other, 'retrying'),
  };
  if (path === 'express') {
    expect(first).toEqual({ delivered: 2, retrying: 2, failed: 0 });
    expect(rest).toEqual({ delivered: 1, retrying: 0, failed: 1 });
  } else {
    expect(first).toEqual({ delivered: 3, retrying: 2, failed: 1 });
    expect(rest).toEqual({ delivered: 0, retrying: 0, failed: 0 });
  }
  const sum = `posthorn_attempt_duration_seconds_sum{path="${path}"}`;
  expect(after.value(sum)).toBeGreaterThan(before.value(sum)!);
  const buckets = (le: string) => after.value(`posthorn_attempt_duration_seconds_bucket{le="${le}",path="${path}"}`);
  expect(buckets('30')).toBe(buckets('+Inf'));
});

test.each(PATHS)('path %s: what is under way is seen while it is, and not longer', async (path) => {
  let answer: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  receiver.setHandler(() => held.then(() => ({ status: 200 })));
  const claimed = async () => (await scrape(url)).value(`posthorn_claimed_deliveries_total{path="${path}"}`)!;
  const claimedBefore = await claimed();
  const deliveries = await deliver(`held.${path}`, path, 3);
  const inFlight = async () => {
    const { value } = await scrape(url);
    return Object.fromEntries(PATHS.map((one) => [one, value(`posthorn_deliveries_in_flight{path="${one}"}`)]));
  };
  await receiver.waitFor(3);
  expect(await inFlight()).toEqual({ express: 0, workflow: 0, [path]: 3 });
  expect((await claimed()) - claimedBefore).toBe(3);
  answer();
  for (const id of deliveries) await api.untilStatus(id, 'delivered');
  await until('the slots to be free', async () => (await inFlight())[path] === 0);
});

test('nothing tells of tenants, webhooks, events, URLs or secrets', async () => {
  const { text } = await scrape(url);
  expect(ids.length).toBeGreaterThan(0);
  for (const word of [...ids, ...secrets, ...Object.values(site.env).filter((value) => value.length > 4)]) {
    expect(text).not.toContain(word);
  }
  expect(text).not.toMatch(
    /\b(ten|wh|evt|del|att|rpl|key)_[0-9a-z]{26}|https?:|127\.0\.0\.1|whsec_|ph_test_|counted|held\./,
  );
  const labels = [...text.matchAll(/^posthorn_\w+\{(.*)\}/gm)]
    .flatMap(([, all]) => all!.split(','))
    .map((one) => one.split('=')[0]);
  expect(new Set(labels)).toEqual(new Set(['path', 'outcome', 'le', 'to']));
});

test('the process itself is measured: of the worker and, on a port of its own, of the api', async () => {
  const [ofApi, ...others] = site.output().filter((line) => line.includes('"metrics_ready"'));
  expect(others).toHaveLength(1);
  const [api, worker] = [await scrape(metricsUrl([ofApi!])), await scrape(url)];
  for (const { names } of [api, worker]) {
    expect([...names]).toEqual(expect.arrayContaining(['process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds']));
  }
  const own = (names: Set<string>) => [...names].filter((name) => name.startsWith('posthorn_'));
  expect(own(worker.names)).not.toEqual([]);
  expect(own(api.names)).toEqual([]);
});
