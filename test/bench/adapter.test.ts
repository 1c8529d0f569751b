import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { type Installation, startInstallation } from '../support/installation';

const ROOT = path.join(__dirname, '..', '..');
const BENCH = path.join(ROOT, 'dist', 'bench', 'main.js');
const SENDER = path.join(__dirname, '..', 'support', 'small-sender.mjs');
const ADAPTER = path.join(ROOT, 'bench', 'adapters', 'example.mjs');
/** What the example adapter reads of its environment. */
type Adapted = { SENDER_URL: string; SENDER_KEY: string; SENDER_NAME: string; SENDER_VERSION?: string };

jest.setTimeout(120_000);

const senders: ChildProcess[] = [];
afterEach(async () => {
  for (const child of senders.splice(0)) {
    const exited = once(child, 'exit');
    if (child.kill('SIGTERM')) await exited;
  }
});

const { PATH = '', HOME = '' } = process.env;

/** The small sender, with one of its faults or none. */
async function startSender(fault = ''): Promise<Adapted> {
  const child = spawn(process.execPath, [SENDER], {
    env: { PATH, HOME, SENDER_KEY: 'sesame', SENDER_FAULT: fault },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  senders.push(child);
  const [url] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { SENDER_URL: url, SENDER_KEY: 'sesame', SENDER_NAME: 'small', SENDER_VERSION: '1.2.3' };
}

/** The built command, as `npm run bench` runs it; what it printed as JSON, where it did. */
async function bench(adapted: Adapted, ...args: string[]) {
  const shared = ['--adapter', ADAPTER, '--json', '--repeats', '1', '--warmup', '1', '--patience-seconds', '1'];
  const child = spawn(process.execPath, [BENCH, ...args, ...shared], {
    env: { PATH, HOME, ...adapted },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  if (lines.length > 1) throw new Error(`more than one line on stdout: ${stdout}`);
  return { code: code as number | null, stderr, report: lines[0] === undefined ? undefined : JSON.parse(lines[0]) };
}

const latency = ['latency', '--events', '20'];
const burst = ['throughput', '--load', 'burst', '--events', '40', '--connections', '4'];
const sustained = ['throughput', '--load', 'sustained', '--seconds', '1', '--connections', '2'];
const ALL_ARRIVED = { lost: 0, duplicates: 0, unfinished: 0, refused: 0, verified: expect.any(Number) };

test('latency of another sender', async () => {
  const adapted = await startSender();
  const { code, report, stderr } = await bench(adapted, ...latency);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  expect(report).toMatchObject({
    ...{ scenario: 'latency', mode: 'adapter', ...ALL_ARRIVED, repeats: 1, versions: { small: '1.2.3' } },
    settings: { events: 20, warmup: 1, sender: 'small', base_url: adapted.SENDER_URL, signatures: 'verified' },
  });
  expect(report.verified).toBeGreaterThan(0);
  expect(report.p50_ms).toBeGreaterThan(0);
  expect(report.publish_p50_ms).toBeGreaterThan(0);
});

test.each([
  ['burst', burst],
  ['sustained', sustained],
])('throughput of another sender, %s: of it only what can be known', async (load, args) => {
  const { code, report, stderr } = await bench(await startSender(), ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  expect(report).toMatchObject({ scenario: 'throughput', variant: load, ...ALL_ARRIVED, versions: { small: '1.2.3' } });
  expect(report.deliveries_per_s).toBeGreaterThan(0);
  expect(report.published_per_s).toBeGreaterThan(0);
  if (load === 'sustained') expect(report.left_at_the_end).toBeGreaterThanOrEqual(0);
  // Its processes are not the bench's, and it has neither an engine nor a database to be held against.
  for (const figure of ['cpu_ms_per_delivery', 'rss_mb', 'noop_workflows_per_s', 'bare_per_s']) {
    expect(report).not.toHaveProperty(figure);
  }
});

test('Posthorn itself is another sender like any', async () => {
  const posthorn: Installation = await startInstallation({ POSTHORN_DELIVERY_MODE: 'express' });
  try {
    const { url, key } = posthorn.api;
    const adapted = { SENDER_URL: url, SENDER_KEY: key, SENDER_NAME: 'posthorn' };
    const { code, report, stderr } = await bench(adapted, ...latency);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
    expect(report).toMatchObject({ ...ALL_ARRIVED, versions: { posthorn: 'unknown' } });
    expect(report.verified).toBeGreaterThan(0);
  } finally {
    await posthorn.stop();
  }
});

test('a sender that does not sign is measured, and the result says so', async () => {
  const { code, report, stderr } = await bench(await startSender('unsigned'), ...latency);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  expect(report).toMatchObject({ lost: 0, duplicates: 0, verified: 0, refused: 0, settings: { signatures: 'none' } });
});

test.each([
  ['latency', latency],
  ['throughput', burst],
])('%s of a sender that loses events fails, and tells of them', async (_, args) => {
  const { code, report, stderr } = await bench(await startSender('loses'), ...args);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.any(String) });
  expect(report.lost).toBeGreaterThan(0);
  expect(report.faults).toEqual([`${report.lost} events were lost`]);
  expect(stderr).toContain(`bench: ${report.lost} events were lost`);
});

test.each([
  ['latency', latency],
  ['throughput', burst],
])('%s of a sender that repeats events fails, and tells of them', async (_, args) => {
  const { code, report, stderr } = await bench(await startSender('repeats'), ...args);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.any(String) });
  expect(report).toMatchObject({ lost: 0 });
  expect(report.duplicates).toBeGreaterThan(0);
  expect(stderr).toContain('came twice');
});

test('signatures that do not verify fail the run', async () => {
  const { code, report } = await bench(await startSender('mis-signs'), ...latency);
  expect(code).toBe(1);
  expect(report).toMatchObject({ lost: 0, verified: 0 });
  expect(report.refused).toBeGreaterThan(0);
});

test('what a sender refuses, and what an adapter cannot do, ends the run with the reason and no figures', async () => {
  const adapted = await startSender();
  const locked = await bench({ ...adapted, SENDER_KEY: 'wrong' }, ...latency);
  expect(locked).toMatchObject({ code: 1, report: undefined });
  expect(locked.stderr).toContain('registering answered 401');
  const drain = await bench(adapted, 'throughput', '--load', 'drain', '--events', '20');
  expect(drain).toMatchObject({ code: 1, report: undefined });
  expect(drain.stderr).toContain('drain can not be measured with an adapter');
});
