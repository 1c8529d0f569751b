import type { TestApi } from '../support/api';
import { startHoldingProxy } from '../support/holding-proxy';
import { type OwnTemporal, startOwnTemporal } from '../support/own-servers';
import type { RoleProcess } from '../support/processes';
import { type Receiver, startReceiver } from '../support/receiver';
import { startSlowProxy } from '../support/slow-proxy';
import { until } from '../support/until';
import { attemptsOf, createSite, pass, repeated, type Site } from './support';

const LIMIT_MS = 120_000;
jest.setTimeout(LIMIT_MS + 120_000);

/** Longer than the three calm windows of a second, several times over. */
const AWAY_MS = 15_000;
const EVERY_MS = 500;
/** Each way: a start takes four seconds. */
const SLOW_MS = 2_000;

let temporal: OwnTemporal;
let site: Site | undefined;
let api: TestApi;
let worker: RoleProcess;
let receiver: Receiver;
let port: number;
const closes: (() => Promise<void>)[] = [];

async function start(address: string): Promise<void> {
  site = await createSite({ TEMPORAL_ADDRESS: address, POSTHORN_DELIVERY_MODE: 'auto' });
  api = await site.startApi();
  worker = await site.startWorker();
  receiver = await startReceiver();
  await api.createWebhook(receiver, { events: ['in.auto'] });
}

beforeEach(async () => {
  temporal = await startOwnTemporal();
  port = Number(temporal.address.split(':')[1]);
});
afterEach(async () => {
  await Promise.all(closes.splice(0).map((close) => close()));
  await site?.stop();
  site = undefined;
  await receiver?.close();
  await temporal?.remove();
});

/** The paths that the worker has turned to, by its log. */
const turns = () => worker.lines.flatMap((line) => /"event":"auto_mode","path":"(\w+)"/.exec(line)?.[1] ?? []);
const linesOf = (event: string) => worker.lines.filter((line) => line.includes(`"event":"${event}"`));

/** Two events a second, one after the other, for so long: less than any engine is taken to manage. */
async function trickle(forMs: number, ids: string[]): Promise<void> {
  for (const end = performance.now() + forMs; performance.now() < end; ) {
    ids.push((await api.publish('in.auto')).id);
    await pass(EVERY_MS);
  }
}

test.each(['stopped', 'silent', 'slow'] as const)(
  'Temporal %s for long, with a trickle of events: one turn to express, and back once it answers',
  async (how) => {
    let away: () => Promise<void> | void = () => temporal.stop();
    let back: () => Promise<void> | void = () => temporal.start();
    let address = temporal.address;
    if (how === 'silent') {
      // As when its process is suspended: connections stand and can be made, and nothing comes.
      const proxy = await startHoldingProxy(port);
      closes.push(proxy.close);
      address = `127.0.0.1:${proxy.port}`;
      [away, back] = [proxy.hold, proxy.release];
    } else if (how === 'slow') {
      const proxy = await startSlowProxy(port);
      closes.push(proxy.close);
      address = `127.0.0.1:${proxy.port}`;
      [away, back] = [() => proxy.setDelay(SLOW_MS), () => proxy.setDelay(0)];
    }
    await start(address);
    const ids: string[] = [];
    await trickle(1_000, ids);
    await receiver.waitFor(ids.length, LIMIT_MS);
    expect(turns()).toEqual([]);

    await away();
    const turned = until('the turn to express', () => turns().length > 0, LIMIT_MS);
    let express = false;
    void turned.then(() => {
      express = true;
    });
    while (!express) await trickle(EVERY_MS, ids);
    await turned;
    await trickle(AWAY_MS, ids);
    expect(turns()).toEqual(['express']);

    await back();
    await until(
      'the engine to be given the work again',
      async () => {
        await trickle(EVERY_MS, ids);
        return turns().length > 1;
      },
      LIMIT_MS,
    );
    await trickle(3_000, ids);
    expect(turns()).toEqual(['express', 'workflow']);
    const arrived = () => new Set(receiver.requests.map(({ headers }) => headers['webhook-id']));
    await until('everything to arrive', () => ids.every((id) => arrived().has(id)), LIMIT_MS);
    expect(repeated(attemptsOf(receiver.requests))).toEqual([]);
    // Why, and once.
    expect(linesOf('auto_mode')[0]).toMatch(/"because":"starts_fail","err":"[^"]+/);
    // While starts hang it need not even ask.
    expect(linesOf('auto_mode_stays').length).toBeLessThanOrEqual(1);
    if (how === 'stopped') expect(linesOf('auto_mode_stays')).toHaveLength(1);
    for (const line of linesOf('start_failed')) expect(line).toMatch(/UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED|UNKNOWN/);
  },
);
