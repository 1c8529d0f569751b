import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from '../clock';
import { type Figures, median, percentile, rate } from '../figures';
import { publishAll } from '../load';
import { numberOption, type WindowOptions, windowOptions } from '../options';
import { addCounts, arrived, type Expected, proveDelivered, proveKept, untilDone } from '../proof';
import type { Arrival } from '../receiver';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome } from '../scenario';
import { delays, publishSteadily, type Sent } from '../steady';

const HELD = { path: '/held', type: 'resume.held' };
const OTHER = { path: '/other', type: 'resume.other' };
/** Calls that are timed on the webhook that stands still. */
const PAUSES = 5;
/** Nothing under way and nothing new for this long: a pause has taken effect. */
const QUIET_MS = 1_000;
const QUIET_LIMIT_MS = 60_000;
const LOOK_EVERY_MS = 100;

type Options = BenchOptions & WindowOptions & { events: number };

/**
 * A backlog behind a paused webhook: what the pause costs, how soon and how fast the backlog flows once resumed, and
 * what another webhook notices. The backlog is not drained: after the window the webhook is paused once more, while it
 * flows, and everything is counted.
 */
export const resume = {
  about: 'a backlog behind a paused webhook: pause, resume, drain, and what another webhook notices',
  options: [
    numberOption('--events <n>', 'deliveries held behind the paused webhook', { fallback: 100_000 }),
    numberOption('--rate <n>', 'events per second for the other webhook', { fallback: 2 }),
    ...windowOptions,
  ],
  needs: 'posthorn' as const,
  run,
};

async function run(rig: Rig, options: Options): Promise<Outcome> {
  const { events, rate: perSecond, seconds, warmupSeconds, connections, payloadBytes: bytes } = options;
  const held = await rig.receive(HELD.path, HELD.type);
  const other = await rig.receive(OTHER.path, OTHER.type);
  const publishOther = (round: string, forSeconds: number) =>
    publishSteadily(rig, { round, type: OTHER.type, bytes, rate: perSecond, seconds: forSeconds });

  await rig.target.pause(held);
  rig.say(`resume: publishing ${events} events behind a paused webhook`);
  const backlog = await publishAll(rig, { round: 'held', type: HELD.type, events, connections, bytes });
  const pauseMs = await timePauses(rig, held);

  rig.say(`resume: baseline, ${warmupSeconds} + ${seconds} s`);
  const before = await publishOther('baseline', warmupSeconds + seconds);
  await untilDone(rig, [other]);
  await requireStill(rig, held, events);

  rig.say(`resume: resumed, ${seconds} s`);
  const resumedMs = nowMs();
  const [during] = await Promise.all([publishOther('drain', seconds), rig.target.resume(held)]);
  const pausing = await pauseWhileFlowing(rig, held);
  await untilDone(rig, [other]);

  const { arrivals, verified, refused } = await rig.receiver('take');
  const ofHeld: Expected = { id: held, path: HELD.path, marks: backlog.marks };
  const ofOther: Expected = { id: other, path: OTHER.path, marks: [...before, ...during].map(({ mark }) => mark) };
  const counts = addCounts([await proveKept(rig, ofHeld, arrivals), await proveDelivered(rig, [ofOther], arrivals)]);
  const p99 = (sent: Sent[]) => percentile(delays(sent, arrivals), 99);
  const figures: Figures = {
    pause_ms: pauseMs,
    ...toFigures(resumedMs, pausing, arrived([ofHeld], arrivals)),
    other_p99_ms: p99(during),
    other_baseline_p99_ms: p99(before.slice(perSecond * warmupSeconds)),
    published_per_s: (events * 1000) / (backlog.endedMs - backlog.beganMs),
  };
  const settings = { events, rate: perSecond, seconds, warmup_seconds: warmupSeconds, payload_bytes: bytes };
  return { repeats: [figures], proof: { ...counts, verified, refused }, settings };
}

/** The backlog is there and stays where it is; the time of a pause of it. */
async function timePauses(rig: Rig, held: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < PAUSES; n++) {
    const beganMs = nowMs();
    await rig.target.pause(held);
    times.push(nowMs() - beganMs);
  }
  return median(times);
}

/** @throws where a paused webhook has got anything, or has not all that was published */
async function requireStill(rig: Rig, held: string, events: number): Promise<void> {
  const queued = await rig.database.queued([held]);
  const count = await rig.receiver('count', HELD.path);
  if (queued === events && count === 0) return;
  throw new Error(`${queued} of ${events} deliveries were held, and ${count} arrived at a paused webhook`);
}

type Pausing = { beganMs: number; endedMs: number; countedMs: number; underWay: number; leftBefore: number };

/** Pauses once more, and waits until that has taken effect. `underWay` was asked as soon as the pause was answered. */
async function pauseWhileFlowing(rig: Rig, held: string): Promise<Pausing> {
  const leftBefore = await rig.database.queued([held]);
  const beganMs = nowMs();
  await rig.target.pause(held);
  const endedMs = nowMs();
  const underWay = await rig.database.underWay([held]);
  const countedMs = nowMs();
  let count = -1;
  let movedMs = nowMs();
  while (nowMs() - movedMs < QUIET_MS && nowMs() - endedMs < QUIET_LIMIT_MS) {
    await sleep(LOOK_EVERY_MS);
    const now = await rig.receiver('count', HELD.path);
    if (now !== count || (await rig.database.underWay([held])) > 0) movedMs = nowMs();
    count = now;
  }
  return { beganMs, endedMs, countedMs, underWay, leftBefore };
}

/** @throws where more arrived after the pause than was under way: attempts were begun behind a shut gate */
function toFigures(resumedMs: number, pausing: Pausing, arrivals: Arrival[]): Figures {
  const times = arrivals.map(({ atMs }) => atMs);
  const late = times.filter((atMs) => atMs > pausing.countedMs).length;
  if (late > pausing.underWay) throw new Error(`${late} arrived after a pause, but ${pausing.underWay} were under way`);
  const afterPause = times.filter((atMs) => atMs > pausing.endedMs).map((atMs) => atMs - pausing.endedMs);
  return {
    // Where the backlog was drained by then, no pause of a flowing one was measured.
    pause_flowing_ms: pausing.leftBefore > 0 ? pausing.endedMs - pausing.beganMs : null,
    arrived_after_pause: afterPause.length,
    last_after_pause_ms: Math.max(0, ...afterPause),
    resume_first_ms: times.reduce((first, atMs) => Math.min(first, atMs), Number.POSITIVE_INFINITY) - resumedMs,
    drain_per_s: rate(times.filter((atMs) => atMs < pausing.beganMs)),
    drained: times.length,
  };
}
