import { setTimeout as sleep } from 'node:timers/promises';
import { openPool } from '../../src/db/guarded-pool';
import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import { claimDeliveries } from '../../src/db/queue/claim-workflow';
import { PRIORITY_NAMES } from '../../src/domain/priorities';
import { nowMs } from '../clock';
import { type Figures, percentile } from '../figures';
import { publishAll, publishBatches, untilArrived } from '../load';
import { numberOption } from '../options';
import { proveDelivered, proveKept, untilDone } from '../proof';
import type { ByProcess, Rig } from '../rig';
import type { BenchOptions, Outcome } from '../scenario';
import { receiveFailing, toFigures } from './retries';

const HELD = { path: '/held', type: 'memory.held' };
const FAILING = { path: '/failing', type: 'memory.failing' };
const DUE = { path: '/due', type: 'memory.due' };
/** Retries that become due while all that waits. */
const DUE_EVENTS = 200;
const CLAIMS = 200;
const REST_MS = 10_000;
const SAY_EVERY_MS = 10_000;
const STALL_LIMIT_MS = 120_000;
/** More at once would only fill the relay's slots. */
const AHEAD = 2_000;

type Options = BenchOptions & { retrying: number; pending: number; idleSeconds: number };

/** What it costs to wait: very many deliveries behind a shut gate, and very many between two attempts. */
export const memory = {
  about: 'memory, CPU at rest, time of a claim and lateness of a retry while very many deliveries wait',
  options: [
    numberOption('--retrying <n>', 'deliveries that wait for a retry, with a timer each', { fallback: 100_000 }),
    numberOption('--pending <n>', 'deliveries behind a paused webhook', { fallback: 1_000_000 }),
    numberOption('--idle-seconds <n>', 'how long CPU at rest is measured', { fallback: 60 }),
  ],
  needs: 'posthorn' as const,
  run,
};

async function run(rig: Rig, options: Options): Promise<Outcome> {
  const { retrying, pending, idleSeconds, connections, payloadBytes: bytes } = options;
  const before = rig.memory();
  const held = await rig.receive(HELD.path, HELD.type);
  await rig.target.pause(held);
  rig.say(`memory: publishing ${pending} events behind a paused webhook`);
  const heldMarks = await publishBatches(rig, { round: 'held', type: HELD.type, events: pending, connections, bytes });
  await makeRetrying(rig, options);
  const due = await receiveFailing(rig, DUE.path, DUE.type);
  await sleep(REST_MS);

  const cpuBefore = rig.cpu();
  await sleep(idleSeconds * 1_000);
  const cpuAfter = rig.cpu();
  const claimMs = await timeClaims(rig);

  rig.say(`memory: ${DUE_EVENTS} deliveries that fail once and are due after 10 s`);
  const { marks } = await publishAll(rig, { round: 'due', type: DUE.type, events: DUE_EVENTS, connections, bytes });
  await untilArrived(rig, DUE_EVENTS, 'memory');
  await untilDone(rig, [due]);
  const refusals = new Map(await rig.receiver('refusals'));
  const { arrivals, verified, refused } = await rig.receiver('take');
  const ofDue = await proveDelivered(rig, [{ id: due, path: DUE.path, marks }], arrivals);
  const ofHeld = await proveKept(rig, { id: held, path: HELD.path, marks: heldMarks }, arrivals);
  const kept = await rig.database.retrying();
  const lateness = arrivals
    .filter(({ path }) => path === DUE.path)
    .flatMap(({ mark, atMs }) => (refusals.has(mark) ? [atMs - refusals.get(mark)! - 10_000] : []));
  const each = (value: (name: keyof ByProcess) => number) =>
    Object.fromEntries(
      (['api', 'worker', 'temporal', 'postgres'] as const).map((name) => [name, Math.round(value(name) * 10) / 10]),
    );
  const after = rig.memory();
  const figures: Figures = {
    rss_mb: each((name) => after[name]),
    rss_before_mb: each((name) => before[name]),
    idle_cpu_percent: each((name) => (cpuAfter[name] - cpuBefore[name]) / (idleSeconds * 10)),
    claim_p50_ms: percentile(claimMs, 50),
    claim_p99_ms: percentile(claimMs, 99),
    ...toFigures(lateness),
  };
  const proof = {
    lost: ofDue.lost + ofHeld.lost + (retrying - kept),
    duplicates: ofDue.duplicates + ofHeld.duplicates,
    unfinished: ofDue.unfinished + ofHeld.unfinished,
    ...{ verified, refused },
  };
  const settings = { retrying, pending, idle_seconds: idleSeconds, payload_bytes: bytes };
  return { repeats: [figures], proof, settings };
}

/** Publishes what fails at once and is tried again in hours, no faster than it becomes so. */
async function makeRetrying(rig: Rig, { retrying, connections, payloadBytes: bytes }: Options): Promise<void> {
  await rig.receive(FAILING.path, FAILING.type, {
    retry_policy: { schedule: ['12h', '12h'], jitter: 0 },
    circuit_breaker: null,
    disable_after: null,
  });
  await rig.receiver('fail', FAILING.path, 1_000);
  const beganMs = nowMs();
  let published = 0;
  let reached = 0;
  let movedMs = nowMs();
  let saidMs = nowMs();
  while (reached < retrying) {
    if (published < retrying && published - reached < AHEAD) {
      const events = Math.min(1_000, retrying - published);
      await publishBatches(rig, { round: 'failing', type: FAILING.type, events, connections, bytes });
      published += events;
    } else await sleep(200);
    const now = await rig.receiver('refusalCount');
    if (now > reached) movedMs = nowMs();
    reached = now;
    if (nowMs() - movedMs > STALL_LIMIT_MS) throw new Error(`only ${reached} of ${retrying} deliveries failed`);
    if (nowMs() - saidMs < SAY_EVERY_MS) continue;
    saidMs = nowMs();
    rig.say(
      `memory: ${reached} of ${retrying} wait for a retry, ${Math.round((reached * 1_000) / (nowMs() - beganMs))}/s`,
    );
  }
}

/** The claim of the relay, from here: it finds nothing that may be sent. */
async function timeClaims(rig: Rig): Promise<number[]> {
  const options = '-c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan';
  const pool = openPool({ connectionString: rig.databaseUrl, max: 1, options });
  const times: number[] = [];
  for (let n = 0; n < CLAIMS; n++) {
    const beganMs = nowMs();
    await claimDeliveries(pool, {
      ...{
        priorities: PRIORITY_NAMES,
        cursors: FIRST_CURSORS,
        scan: 200,
        limit: 100,
        perWebhook: 20,
        budget: EMPTY_BUDGET,
      },
      allowance: { free: 100, level: 100, held: new Map() },
      leaseMs: 1_000,
      holder: 0,
      claimant: { path: 'workflow', modes: ['workflow', 'express', 'auto'], defaultMode: 'workflow' },
    });
    times.push(nowMs() - beganMs);
  }
  await pool.end();
  return times;
}
