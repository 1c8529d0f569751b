import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './clock';
import { eventData } from './event-data';
import { MARK, nextMark } from './mark';
import type { Arrival } from './receiver';
import type { Rig } from './rig';
import type { Proof } from './scenario';
import { EVENT_TYPE } from './target';

const LOOK_EVERY_MS = 50;
const SAY_EVERY_MS = 2_000;
/** A duplicate comes late if it comes: watch this long after the end. */
const AFTERMATH_MS = 500;

export type Burst = { round: string; type?: string; events: number; connections: number; bytes: number };

/** Publishes `events` events, `connections` at once; when the first was sent and the last one acknowledged. */
export async function publishAll(
  rig: Rig,
  { round, type, events, connections, bytes }: Burst,
): Promise<{ marks: string[]; beganMs: number; endedMs: number }> {
  const marks = Array.from({ length: events }, () => nextMark(round));
  let next = 0;
  const beganMs = nowMs();
  const publisher = async () => {
    for (let mark = marks[next++]; mark; mark = marks[next++]) await rig.target.publish(eventData(mark, bytes), type);
  };
  await Promise.all(Array.from({ length: connections }, publisher));
  return { marks, beganMs, endedMs: nowMs() };
}

/**
 * Publishes for `seconds` over `connections`, each of which publishes once its last event was answered; with a `rate`
 * (events a second in all), only when its next turn has come, so that the connections' turns fall together.
 */
export async function publishFor(
  rig: Rig,
  { round, type, connections, bytes, seconds, rate }: Omit<Burst, 'events'> & { seconds: number; rate?: number },
): Promise<{ marks: string[]; beganMs: number; endedMs: number }> {
  const marks: string[] = [];
  const beganMs = nowMs();
  const endMs = beganMs + seconds * 1_000;
  const turnMs = rate ? (connections * 1_000) / rate : 0;
  const publisher = async () => {
    for (let turn = 0; nowMs() < endMs; turn++) {
      const restMs = Math.min(endMs, beganMs + turn * turnMs) - nowMs();
      if (restMs > 0) await sleep(restMs);
      const mark = nextMark(round);
      marks.push(mark);
      await rig.target.publish(eventData(mark, bytes), type);
    }
  };
  await Promise.all(Array.from({ length: connections }, publisher));
  return { marks, beganMs, endedMs: nowMs() };
}

const PER_BATCH = 100;
/** Of batches; more would only queue up in the api. */
const BATCH_CONNECTIONS = 8;

/** The same in batches, for what is to be there quickly; the marks. */
export async function publishBatches(rig: Rig, { round, type, events, bytes }: Burst): Promise<string[]> {
  const marks = Array.from({ length: events }, () => nextMark(round));
  let next = 0;
  const publisher = async () => {
    while (next < marks.length) {
      const batch = marks.slice(next, next + PER_BATCH);
      next += PER_BATCH;
      await rig.target.publishBatch(
        batch.map((mark) => eventData(mark, bytes)),
        type ?? EVENT_TYPE,
      );
    }
  };
  await Promise.all(Array.from({ length: BATCH_CONNECTIONS }, publisher));
  return marks;
}

/** Waits until `events` events have arrived, or none has come for as long as the rig's patience. */
export async function untilArrived(rig: Rig, events: number, label: string): Promise<void> {
  let seen = 0;
  let movedMs = nowMs();
  let saidMs = nowMs();
  while (seen < events && nowMs() - movedMs < rig.patienceMs) {
    await sleep(LOOK_EVERY_MS);
    const count = await rig.receiver('count');
    if (count > seen) movedMs = nowMs();
    seen = count;
    if (nowMs() - saidMs < SAY_EVERY_MS) continue;
    saidMs = nowMs();
    rig.say(`${label}: ${seen} of ${events} arrived`);
  }
}

/**
 * Waits until the database holds no open delivery and a little longer, then holds what was published against what
 * arrived. Takes the receiver's arrivals.
 */
export async function prove(rig: Rig, marks: readonly string[]): Promise<{ arrivals: Arrival[]; proof: Proof }> {
  const deadline = nowMs() + rig.patienceMs;
  let unfinished = await rig.database.queued();
  while (unfinished > 0 && nowMs() < deadline) {
    await sleep(LOOK_EVERY_MS);
    unfinished = await rig.database.queued();
  }
  await sleep(AFTERMATH_MS);
  const { arrivals, verified, refused } = await rig.receiver('take');
  const arrived = new Set(arrivals.map(({ mark }) => mark));
  const expected = new Set(marks);
  const again = arrivals.filter(({ mark }) => !expected.has(mark) && MARK.test(mark)); // of a round before this one
  return {
    arrivals,
    proof: {
      lost: marks.filter((mark) => !arrived.has(mark)).length,
      duplicates: arrivals.reduce((sum, { times }) => sum + times - 1, again.length),
      unfinished,
      verified,
      refused,
    },
  };
}

export function addProofs(proofs: Proof[]): Proof {
  const sum = (name: keyof Proof) => proofs.reduce((total, proof) => total + proof[name], 0);
  return {
    lost: sum('lost'),
    duplicates: sum('duplicates'),
    unfinished: sum('unfinished'),
    verified: sum('verified'),
    refused: sum('refused'),
  };
}
