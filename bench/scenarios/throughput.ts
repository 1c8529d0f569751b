import { writeFile } from 'node:fs/promises';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { cpuMs } from '../cpu';
import { type Figures, rate } from '../figures';
import { addProofs, prove, publishAll, untilArrived } from '../load';
import type { NoopMethods, NoopRound } from '../noop-worker';
import { type RoundOptions, roundOptions } from '../options';
import { remote } from '../remote';
import type { ByProcess, Rig } from '../rig';
import type { BenchOptions, Outcome, Proof } from '../scenario';

const EVENTS = 1_000;
const WARM_UP = 300;
/** As many no-op workflows as events, but no more than a ceiling needs. */
const MAX_NOOPS = 1_000;
/** As MAX_STARTING in src/relay/relay.ts. */
const NOOP_CONCURRENCY = 32;

type Ceiling = NoopRound & { workerMs: number; temporalMs: number };

/**
 * Events published as fast as the api takes them while they are delivered. Between the repeats (and before the first
 * and after the last) the same server runs no-op workflows: each repeat is held against the mean of its neighbours, so
 * that a machine that drifts is seen and does not count.
 */
export const throughput = {
  about: 'deliveries/s and CPU per delivery, beside the no-op ceiling',
  options: roundOptions,
  run,
};

async function run(rig: Rig, options: BenchOptions & RoundOptions): Promise<Outcome> {
  const { connections, payloadBytes: bytes } = options;
  const events = options.events ?? EVENTS;
  const warmup = options.warmup ?? Math.min(WARM_UP, events);
  const noops = Math.min(events, MAX_NOOPS);
  const measureCeiling = await startNoops(rig);
  const proofs: Proof[] = [];
  const deliver = async (round: string, count: number, label: string) => {
    const before = rig.cpu();
    const published = await publishAll(rig, { round, events: count, connections, bytes });
    const publishedPerSecond = (count * 1000) / (published.endedMs - published.beganMs);
    rig.say(`${label}: ${count} published, ${Math.round(publishedPerSecond)}/s`);
    await untilArrived(rig, count, label);
    const { arrivals, proof } = await prove(rig, published.marks);
    const after = rig.cpu();
    proofs.push(proof);
    const cpu = (name: keyof ByProcess) => (after[name] - before[name]) / count;
    return { times: arrivals.map(({ atMs }) => atMs), publishedPerSecond, publishEndedMs: published.endedMs, cpu };
  };

  await deliver('warm', warmup, 'warm-up');
  await measureCeiling(Math.min(warmup, noops));
  const repeats: Figures[] = [];
  let before = await measureCeiling(noops);
  for (let n = 1; n <= options.repeats; n++) {
    const label = `round ${n} of ${options.repeats}`;
    const done = await deliver('throughput', events, label);
    const after = await measureCeiling(noops);
    const mean = (name: keyof Ceiling) => (before[name] + after[name]) / 2;
    const perSecond = rate(done.times);
    repeats.push({
      deliveries_per_s: perSecond,
      noop_workflows_per_s: mean('perSecond'),
      ratio_to_noop: perSecond / mean('perSecond'),
      published_per_s: done.publishedPerSecond,
      deliveries_per_s_after_publishing: rate(done.times.filter((atMs) => atMs > done.publishEndedMs)),
      cpu_ms_per_delivery: {
        api: done.cpu('api'),
        worker: done.cpu('worker'),
        temporal: done.cpu('temporal'),
        postgres: done.cpu('postgres'),
      },
      bench_cpu_ms_per_delivery: { receiver: done.cpu('receiver'), harness: done.cpu('harness') },
      cpu_ms_per_noop: { worker: mean('workerMs') / noops, temporal: mean('temporalMs') / noops },
      noop_eager_percent: (mean('eager') * 100) / noops,
      rss_mb: withoutBench(rig.memory()),
    });
    rig.say(`${label}: ${Math.round(perSecond)} deliveries/s, no-op ${Math.round(mean('perSecond'))}/s`);
    before = after;
  }
  const settings = { events, warmup, noops, noop_concurrency: NOOP_CONCURRENCY, payload_bytes: bytes };
  return { repeats, proof: addProofs(proofs), settings };
}

/** Bundles and starts the no-op worker; the function measures one round of it. */
async function startNoops(rig: Rig): Promise<(workflows: number) => Promise<Ceiling>> {
  const bundle = rig.file('noop-bundle.js');
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('../workflows/noop'),
    logger: new DefaultLogger('WARN'),
  });
  await writeFile(bundle, code);
  const started = rig.start('noop-worker', { TEMPORAL_ADDRESS: rig.temporalAddress, ...rig.environment });
  const noop = remote<NoopMethods>(started.child);
  await noop('start', bundle);
  return async (workflows) => {
    const workerMs = cpuMs(started.pid);
    const temporalMs = rig.cpu().temporal;
    const round = await noop('run', workflows, NOOP_CONCURRENCY);
    rig.say(`no-op: ${Math.round(round.perSecond)} workflows/s`);
    return { ...round, workerMs: cpuMs(started.pid) - workerMs, temporalMs: rig.cpu().temporal - temporalMs };
  };
}

function withoutBench({ api, worker, temporal, postgres }: ByProcess) {
  return { api, worker, temporal, postgres };
}
