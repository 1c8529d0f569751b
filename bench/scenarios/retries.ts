import { type Figures, percentile } from '../figures';
import { publishAll, untilArrived } from '../load';
import { numberOption } from '../options';
import { proveDelivered, untilDone } from '../proof';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome } from '../scenario';

const PATH = '/retries';
const TYPE = 'retries.failed';
const WAIT_MS = 10_000;

type Options = BenchOptions & { events: number };

/** Deliveries that fail once and succeed when they are tried again: how late that is, against the wait of 10 s. */
export const retries = {
  about: 'lateness of retries that become due at the same time',
  options: [numberOption('--events <n>', 'deliveries that fail once', { fallback: 2_000 })],
  needs: 'posthorn' as const,
  run,
};

async function run(rig: Rig, options: Options): Promise<Outcome> {
  const { events, connections, payloadBytes: bytes } = options;
  const id = await receiveFailing(rig, PATH, TYPE);
  rig.say(`retries: publishing ${events} events, each of which fails once`);
  const { marks } = await publishAll(rig, { round: 'retries', type: TYPE, events, connections, bytes });
  await untilArrived(rig, events, 'retries');
  await untilDone(rig, [id]);
  const refusals = new Map(await rig.receiver('refusals'));
  const { arrivals, verified, refused } = await rig.receiver('take');
  const counts = await proveDelivered(rig, [{ id, path: PATH, marks }], arrivals);
  const lateness = arrivals.flatMap(({ mark, atMs }) => {
    const failedMs = refusals.get(mark);
    return failedMs === undefined ? [] : [atMs - failedMs - WAIT_MS];
  });
  const settings = { events, wait_ms: WAIT_MS, payload_bytes: bytes };
  return { repeats: [toFigures(lateness)], proof: { ...counts, verified, refused }, settings };
}

/** A webhook whose every delivery fails once and is then due after 10 s; nothing but that holds it up. */
export async function receiveFailing(rig: Rig, path: string, type: string): Promise<string> {
  const id = await rig.receive(path, type, {
    retry_policy: { schedule: ['10s', '10s', '10s'], jitter: 0 },
    circuit_breaker: null,
    disable_after: null,
  });
  await rig.receiver('fail', path, 1);
  return id;
}

export function toFigures(lateness: number[]): Figures {
  return {
    lateness_p50_ms: percentile(lateness, 50),
    lateness_p99_ms: percentile(lateness, 99),
    lateness_max_ms: Math.max(...lateness),
    retried: lateness.length,
  };
}
