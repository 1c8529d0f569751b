import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './clock';
import { eventData } from './event-data';
import { nextMark } from './mark';
import type { Arrival } from './receiver';
import type { Rig } from './rig';

/** An event, and when its publish began. */
export type Sent = { mark: string; beganMs: number };

export type Steady = { round: string; type: string; bytes: number; rate: number; seconds: number };

/** Publishes `rate` events a second for `seconds`, at equal distances and however long an answer takes. */
export async function publishSteadily(
  rig: Rig,
  { round, type, bytes, rate: perSecond, seconds }: Steady,
): Promise<Sent[]> {
  const startMs = nowMs();
  const publishes: Promise<Sent>[] = [];
  for (let n = 0; n < perSecond * seconds; n++) {
    const waitMs = startMs + (n * 1000) / perSecond - nowMs();
    // Even the shortest sleep takes a millisecond: what is due already goes at once.
    if (waitMs > 0) await sleep(waitMs);
    const sent = { mark: nextMark(round), beganMs: nowMs() };
    const published = rig.target.publish(eventData(sent.mark, bytes), type).then(() => sent);
    published.catch(() => undefined); // reported at the end, by Promise.all
    publishes.push(published);
  }
  await sleep(Math.max(0, startMs + seconds * 1000 - nowMs()));
  return Promise.all(publishes);
}

/** Publish begun → request complete, of every arrival of these events. */
export function delays(sent: readonly Sent[], arrivals: readonly Arrival[]): number[] {
  const beganMs = new Map(sent.map((one) => [one.mark, one.beganMs]));
  return arrivals.flatMap(({ mark, atMs }) => (beganMs.has(mark) ? [atMs - beganMs.get(mark)!] : []));
}
