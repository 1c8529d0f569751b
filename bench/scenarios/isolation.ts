import { setTimeout as sleep } from 'node:timers/promises';
import type { BlackHoleMethods } from '../black-hole';
import { type Figures, percentile } from '../figures';
import { publishAll, untilArrived } from '../load';
import { numberOption, type WindowOptions, windowOptions } from '../options';
import { proveDelivered, untilDone } from '../proof';
import type { Arrival } from '../receiver';
import { type Remote, remote } from '../remote';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome } from '../scenario';
import { delays, publishSteadily, type Sent } from '../steady';

const HEALTHY = 10;
const BLACK_HOLES = 10;
/** Every webhook takes this one. */
const SHARED = 'isolation.shared';
/** Only the black holes do. */
const BACKLOG = 'isolation.backlog';
/** By then the first attempts at the backlog have met their timeout, which is 10 s by default. */
const SETTLE_MS = 15_000;

type Options = BenchOptions & WindowOptions & { backlog: number };
type BlackHoles = { ids: string[]; attempts: Remote<BlackHoleMethods> };

/**
 * What ten healthy webhooks notice of ten that never answer: the same steady load without and with them. Nothing is
 * set for the black holes, and a backlog of theirs waits before the second phase begins.
 */
export const isolation = {
  about: 'publish → arrival at healthy webhooks, without and with webhooks that never answer',
  options: [
    numberOption('--rate <n>', `events per second, each for all ${HEALTHY} healthy webhooks`, { fallback: 4 }),
    ...windowOptions,
    numberOption('--backlog <n>', 'deliveries that wait for the black holes', { fallback: 2_500 }),
  ],
  run,
};

async function run(rig: Rig, options: Options): Promise<Outcome> {
  const { rate, seconds, warmupSeconds, backlog, payloadBytes: bytes } = options;
  const healthy: { id: string; path: string }[] = [];
  for (let n = 1; n <= HEALTHY; n++) {
    const path = `/healthy/${n}`;
    healthy.push({ id: await rig.receive(path, SHARED), path });
  }
  const all: Sent[] = [];
  const phase = async (round: string, label: string): Promise<Sent[]> => {
    rig.say(`${label}: ${rate * HEALTHY} healthy deliveries/s for ${warmupSeconds} + ${seconds} s`);
    const sent = await publishSteadily(rig, { round, type: SHARED, bytes, rate, seconds: warmupSeconds + seconds });
    await untilArrived(rig, (all.length + sent.length) * HEALTHY, label);
    await untilDone(
      rig,
      healthy.map(({ id }) => id),
    );
    all.push(...sent);
    return sent.slice(rate * warmupSeconds);
  };

  const baseline = await phase('baseline', 'baseline');
  const blackHoles = await startBlackHoles(rig);
  await fill(rig, options);
  const waiting = await waitingFor(rig, blackHoles);
  const attemptsBefore = await blackHoles.attempts('count');
  rig.say(`black holes: ${waiting ?? 'unknown'} deliveries wait for them after ${attemptsBefore} attempts`);
  const withBlackHoles = await phase('blackholes', 'with black holes');
  const attempts = await blackHoles.attempts('count');

  const { arrivals, verified, refused } = await rig.receiver('take');
  const marks = all.map(({ mark }) => mark);
  const counts = await proveDelivered(
    rig,
    healthy.map((webhook) => ({ ...webhook, marks })),
    arrivals,
  );
  const figures: Figures = {
    ...toFigures(baseline, withBlackHoles, arrivals),
    black_hole_attempts: attempts,
    black_hole_attempts_measured: attempts - attemptsBefore,
    waiting_for_black_holes: waiting,
  };
  const settings = {
    ...{ healthy: HEALTHY, black_holes: BLACK_HOLES, rate, deliveries_per_s: rate * HEALTHY },
    ...{ seconds, warmup_seconds: warmupSeconds, backlog, payload_bytes: bytes },
  };
  return { repeats: [figures], proof: { ...counts, verified, refused }, settings };
}

async function startBlackHoles(rig: Rig): Promise<BlackHoles> {
  const attempts = remote<BlackHoleMethods>(rig.start('black-hole').child);
  const url = await attempts('listen');
  const ids: string[] = [];
  for (let n = 1; n <= BLACK_HOLES; n++) {
    ids.push((await rig.target.registerWebhook(`${url}/${n}`, [SHARED, BACKLOG])).id);
  }
  return { ids, attempts };
}

/** Publishes what is to wait for the black holes, and lets the first attempts at it time out. */
async function fill(rig: Rig, { backlog, connections, payloadBytes: bytes }: Options): Promise<void> {
  const events = Math.ceil(backlog / BLACK_HOLES);
  rig.say(`black holes: publishing ${events} events for ${BLACK_HOLES} of them`);
  await publishAll(rig, { round: 'backlog', type: BACKLOG, events, connections, bytes });
  await sleep(SETTLE_MS);
}

/** Not over, and no attempt under way; null where only the sender knows. */
async function waitingFor(rig: Rig, { ids }: BlackHoles): Promise<number | null> {
  if (rig.foreign) return null;
  return (await rig.database.queued(ids)) - (await rig.database.underWay(ids));
}

function toFigures(baseline: Sent[], withBlackHoles: Sent[], arrivals: Arrival[]): Figures {
  const [before, after] = [delays(baseline, arrivals), delays(withBlackHoles, arrivals)];
  const ratio = (percent: number) => percentile(after, percent) / percentile(before, percent);
  return {
    baseline_p50_ms: percentile(before, 50),
    baseline_p99_ms: percentile(before, 99),
    with_black_holes_p50_ms: percentile(after, 50),
    with_black_holes_p99_ms: percentile(after, 99),
    ratio: ratio(99),
    ratio_p50: ratio(50),
  };
}
