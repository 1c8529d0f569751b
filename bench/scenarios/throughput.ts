import { Option } from 'commander';
import { nowMs } from '../clock';
import { type Figures, rate } from '../figures';
import { measureBare, NOOP_CONCURRENCY, type NoopLimit, startNoops } from '../limits';
import { publishAll, publishBatches, publishFor, untilArrived } from '../load';
import { numberOption, type RoundOptions, roundOptions } from '../options';
import { addCounts, type Expected, proveDelivered, untilDone } from '../proof';
import type { ByProcess, Rig } from '../rig';
import type { BenchOptions, Outcome, Proof } from '../scenario';
import { watchMemory } from '../watch-memory';

/** `burst`: so many events, then to the end. `sustained`: for so long. `drain`: a backlog that is let go. */
type Load = 'burst' | 'sustained' | 'drain';
type Options = BenchOptions &
  RoundOptions & { load: Load; webhooks: number; seconds: number; rate?: number; bare: number };

const TYPE = 'throughput.event';
const EVENTS: Record<Load, number> = { burst: 1_000, sustained: 0, drain: 100_000 };
/** A longer load has a section of its own in the docs. */
const USUAL_SECONDS = 60;
const WARM_UP = 2_000;
const WORKFLOW_WARM_UP = 300;
const NOOPS = 1_000;

/**
 * Deliveries a second, beside what the same machine can do at most in the same run: workflows that do nothing, and a
 * bare loop that claims, POSTs and records.
 */
export const throughput = {
  about: 'deliveries/s and CPU per delivery, beside the limits of the same run',
  options: [
    ...roundOptions,
    new Option('--load <kind>', 'burst, sustained or drain').choices(['burst', 'sustained', 'drain']).default('burst'),
    numberOption('--webhooks <n>', 'webhooks that take every event', { fallback: 1 }),
    numberOption('--seconds <n>', 'of a sustained load', { fallback: USUAL_SECONDS }),
    numberOption('--rate <n>', 'events a second of a sustained load; without it, as many as are accepted', {}),
    numberOption('--bare <n>', 'deliveries of the bare limit; 0: not measured', { fallback: 30_000, min: 0 }),
  ],
  connections: 50,
  variant: (options: BenchOptions) => {
    const { load, webhooks, seconds, rate } = options as Options;
    const long = load === 'sustained' && seconds > USUAL_SECONDS;
    return [
      load,
      ...(webhooks === 1 ? [] : [`${webhooks} webhooks`]),
      ...(rate ? [`${rate} events a second`] : []),
      ...(long ? [`${seconds} s`] : []),
    ].join(', ');
  },
  run,
};

async function run(rig: Rig, options: Options): Promise<Outcome> {
  const { load, mode, payloadBytes: bytes } = options;
  const { foreign } = rig;
  if (foreign && load === 'drain') throw new Error('drain can not be measured with an adapter');
  const warmup = options.warmup ?? (mode === 'workflow' && !foreign ? WORKFLOW_WARM_UP : WARM_UP);
  const webhooks: Expected[] = [];
  for (let n = 1; n <= options.webhooks; n++) {
    const path = `/throughput/${n}`;
    webhooks.push({ id: await rig.receive(path, TYPE), path, marks: [] });
  }
  const proofs: Proof[] = [];
  const noop = foreign ? undefined : await startNoops(rig);
  rig.say(`warm-up: ${warmup} events`);
  await round(rig, { ...options, load: 'burst', events: warmup }, webhooks, proofs);
  await noop?.(Math.min(NOOPS, 300));
  let before = await noop?.(NOOPS);
  const measure = async () => (foreign || options.bare === 0 ? undefined : await measureBare(rig, options.bare, bytes));
  let bareBefore = await measure();
  const repeats: Figures[] = [];
  for (let n = 1; n <= options.repeats; n++) {
    const figures = await round(rig, options, webhooks, proofs);
    const perSecond = figures.deliveries_per_s as number;
    // An express path is not held back by Temporal: its limit is measured once, to be seen beside it.
    const after = mode === 'express' ? before : await noop?.(NOOPS);
    const bareAfter = mode === 'workflow' ? bareBefore : await measure();
    repeats.push({
      ...figures,
      ...(before && after && besideNoops(perSecond, before, after)),
      ...(bareBefore && bareAfter && besideBare(perSecond, (bareBefore + bareAfter) / 2)),
    });
    rig.say(`round ${n} of ${options.repeats}: ${Math.round(perSecond)} deliveries/s`);
    before = after;
    bareBefore = bareAfter;
  }
  const { verified, refused } = proofs.reduce((sum, one) => ({
    ...one,
    verified: sum.verified + one.verified,
    refused: sum.refused + one.refused,
  }));
  const settings = {
    ...{ load, webhooks: options.webhooks, warmup, payload_bytes: bytes },
    ...(load === 'sustained'
      ? { seconds: options.seconds, ...(options.rate && { rate: options.rate }) }
      : { events: options.events ?? EVENTS[load] }),
    ...(!foreign && { noops: NOOPS, noop_concurrency: NOOP_CONCURRENCY, bare: options.bare }),
  };
  return { repeats, proof: { ...addCounts(proofs), verified, refused }, settings };
}

/** One round: the load, until everything is recorded, and what came of it. */
async function round(rig: Rig, options: Options, webhooks: Expected[], proofs: Proof[]): Promise<Figures> {
  const { load, seconds, connections, payloadBytes: bytes } = options;
  const events = options.events ?? EVENTS[load];
  const ids = webhooks.map(({ id }) => id);
  const done = (await rig.database.delivered(ids)) || 0;
  const burst = { round: 'throughput', type: TYPE, events, connections, bytes };
  if (load === 'drain') {
    for (const id of ids) await rig.target.pause(id);
    rig.say(`publishing ${events} events behind paused webhooks`);
  }
  const backlog = load === 'drain' ? await publishBatches(rig, burst) : undefined;
  const cpuBefore = rig.cpu();
  const overTime = load === 'sustained' && !rig.foreign ? watchMemory(rig, seconds) : undefined;
  const beganMs = nowMs();
  if (backlog) await Promise.all(ids.map((id) => rig.target.resume(id)));
  const published = backlog
    ? { marks: backlog, beganMs, endedMs: beganMs }
    : load === 'sustained'
      ? await publishFor(rig, { ...burst, seconds, ...(options.rate && { rate: options.rate }) })
      : await publishAll(rig, burst);
  const rssOverTime = overTime?.();
  const { marks, endedMs } = published;
  const left = await rig.database.queued(ids);
  await untilArrived(rig, marks.length * webhooks.length, load);
  await untilDone(rig, ids);
  const cpuAfter = rig.cpu();
  const memory = rig.memory();
  const { arrivals, verified, refused } = await rig.receiver('take');
  const expected = webhooks.map((webhook) => ({ ...webhook, marks }));
  const counts = await proveDelivered(rig, expected, arrivals);
  proofs.push({ ...counts, unfinished: counts.unfinished + done, verified, refused });

  const times = arrivals.map(({ atMs }) => atMs);
  const deliveries = times.length;
  const cpu = (name: keyof ByProcess) => (cpuAfter[name] - cpuBefore[name]) / deliveries;
  const inTime = times.filter((atMs) => atMs <= endedMs).length;
  return {
    // Of a sustained load what arrived while it lasted; else all of it, without ramp and tail.
    deliveries_per_s: load === 'sustained' ? (inTime * 1_000) / (endedMs - published.beganMs) : rate(times),
    ...(load !== 'drain' && { published_per_s: (marks.length * 1_000) / (endedMs - published.beganMs) }),
    ...(load === 'sustained' && { left_at_the_end: rig.foreign ? marks.length * webhooks.length - inTime : left }),
    ...(rssOverTime && { rss_mb_of_api_and_worker: rssOverTime }),
    ...(!rig.foreign && {
      cpu_ms_per_delivery: {
        api: cpu('api'),
        worker: cpu('worker'),
        temporal: cpu('temporal'),
        postgres: cpu('postgres'),
      },
    }),
    bench_cpu_ms_per_delivery: { receiver: cpu('receiver'), harness: cpu('harness') },
    ...(!rig.foreign && {
      rss_mb: { api: memory.api, worker: memory.worker, temporal: memory.temporal, postgres: memory.postgres },
    }),
  };
}

const besideBare = (perSecond: number, bare: number): Figures => ({
  bare_per_s: bare,
  ratio_to_bare: perSecond / bare,
});

function besideNoops(perSecond: number, before: NoopLimit, after: NoopLimit): Figures {
  const mean = (name: keyof NoopLimit) => (before[name] + after[name]) / 2;
  return {
    noop_workflows_per_s: mean('perSecond'),
    ratio_to_noop: perSecond / mean('perSecond'),
    cpu_ms_per_noop: { worker: mean('workerMs') / NOOPS, temporal: mean('temporalMs') / NOOPS },
    noop_eager_percent: (mean('eager') * 100) / NOOPS,
  };
}
