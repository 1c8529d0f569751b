import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './clock';
import type { Arrival } from './receiver';
import type { Rig } from './rig';
import type { Proof } from './scenario';

const LOOK_EVERY_MS = 250;
/** A duplicate comes late if it comes: watch this long after the end. */
const AFTERMATH_MS = 500;

/** A webhook of the receiver, and the events that were published for it. */
export type Expected = { id: string; path: string; marks: readonly string[] };

type Counts = Pick<Proof, 'lost' | 'duplicates' | 'unfinished'>;

/** Another sender is done when nothing has arrived for this long, or for as long as the rig's patience. */
const QUIET_MS = 10_000;
const QUIET_LIMIT_MS = 180_000;

/**
 * Waits until none of these webhooks has an open delivery, or their number has not fallen for as long as the rig's
 * patience; and a little longer.
 */
export async function untilDone(rig: Rig, webhooks: readonly string[]): Promise<void> {
  if (rig.foreign) return untilQuiet(rig);
  let least = Number.POSITIVE_INFINITY;
  let movedMs = nowMs();
  while (least > 0 && nowMs() - movedMs < rig.patienceMs) {
    const open = await rig.database.queued(webhooks);
    if (open < least) {
      least = open;
      movedMs = nowMs();
    }
    if (open > 0) await sleep(LOOK_EVERY_MS);
  }
  await sleep(AFTERMATH_MS);
}

async function untilQuiet(rig: Rig): Promise<void> {
  const deadline = nowMs() + QUIET_LIMIT_MS;
  for (let seen = -1; nowMs() < deadline; await sleep(Math.min(QUIET_MS, rig.patienceMs))) {
    const count = await rig.receiver('count');
    if (count === seen) return;
    seen = count;
  }
}

/** Of webhooks that must have got everything once, while others may still have work to do. */
export async function proveDelivered(rig: Rig, expected: Expected[], arrivals: readonly Arrival[]): Promise<Counts> {
  const published = expected.reduce((sum, { marks }) => sum + marks.length, 0);
  const delivered = await rig.database.delivered(expected.map(({ id }) => id));
  return {
    lost: published - arrived(expected, arrivals).length,
    duplicates: timesTooOften(expected, arrivals),
    unfinished: Number.isNaN(delivered) ? 0 : published - delivered,
  };
}

/** Of a webhook that still has a backlog: each event has arrived and is recorded so, or is in the queue. */
export async function proveKept(rig: Rig, expected: Expected, arrivals: readonly Arrival[]): Promise<Counts> {
  const open = await rig.database.queued([expected.id]);
  const delivered = await rig.database.delivered([expected.id]);
  const here = arrived([expected], arrivals).length;
  return {
    lost: expected.marks.length - open - delivered + Math.max(0, delivered - here),
    duplicates: timesTooOften([expected], arrivals),
    unfinished: Math.max(0, here - delivered),
  };
}

/** Those arrivals that were to be: an event at a webhook that it was published for. */
export function arrived(expected: readonly Expected[], arrivals: readonly Arrival[]): Arrival[] {
  const marks = new Map(expected.map((one) => [one.path, new Set(one.marks)]));
  return arrivals.filter(({ path, mark }) => marks.get(path)?.has(mark));
}

function timesTooOften(expected: readonly Expected[], arrivals: readonly Arrival[]): number {
  return arrived(expected, arrivals).reduce((sum, { times }) => sum + times - 1, 0);
}

export function addCounts(counts: Counts[]): Counts {
  const sum = (name: keyof Counts) => counts.reduce((total, one) => total + one[name], 0);
  return { lost: sum('lost'), duplicates: sum('duplicates'), unfinished: sum('unfinished') };
}
