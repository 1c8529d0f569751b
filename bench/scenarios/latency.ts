import { nowMs } from '../clock';
import { eventData } from '../event-data';
import { type Figures, percentile } from '../figures';
import { addProofs, prove } from '../load';
import { nextMark } from '../mark';
import { type RoundOptions, roundOptions } from '../options';
import type { Arrival } from '../receiver';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome, Proof } from '../scenario';
import { delays } from '../steady';

const SAMPLES = 400;
/** Enough for the code of every process to be compiled. */
const WARM_UP = 4_000;

type Published = { mark: string; beganMs: number; publishMs: number };

/**
 * One event at a time: from before its publish to its last byte at the receiver. Where one does not come, the run ends:
 * its figures would be those of the others only.
 */
export const latency = { about: 'sequential publish → arrival, milliseconds', options: roundOptions, run };

async function run(rig: Rig, options: BenchOptions & RoundOptions): Promise<Outcome> {
  const events = options.events ?? SAMPLES;
  const warmup = options.warmup ?? WARM_UP;
  const proofs: Proof[] = [];
  const round = async (name: string, count: number): Promise<Figures> => {
    const published: Published[] = [];
    let comes = true;
    while (comes && published.length < count) {
      const { arrived, ...one } = await publishOne(rig, nextMark(name), options.payloadBytes);
      published.push(one);
      comes = arrived;
    }
    const { arrivals, proof } = await prove(
      rig,
      published.map(({ mark }) => mark),
    );
    proofs.push(proof);
    return toFigures(published, arrivals);
  };

  rig.say(`latency: warm-up, ${warmup} events`);
  await round('warm', warmup);
  const repeats: Figures[] = [];
  for (let n = 1; n <= options.repeats && proofs.every(({ lost }) => lost === 0); n++) {
    const figures = await round('latency', events);
    repeats.push(figures);
    rig.say(`latency: round ${n} of ${options.repeats}: p50 ${(figures.p50_ms as number).toFixed(1)} ms`);
  }
  const settings = { events, warmup, payload_bytes: options.payloadBytes };
  return { repeats, proof: addProofs(proofs), settings };
}

async function publishOne(rig: Rig, mark: string, bytes: number): Promise<Published & { arrived: boolean }> {
  const arrives = rig.receiver('waitFor', mark, rig.patienceMs);
  const beganMs = nowMs();
  // Both, so that a publish that fails is reported as such.
  const [publishedMs, arrived] = await Promise.all([rig.target.publish(eventData(mark, bytes)).then(nowMs), arrives]);
  return { mark, beganMs, publishMs: publishedMs - beganMs, arrived };
}

function toFigures(published: Published[], arrivals: Arrival[]): Figures {
  const arrivalsMs = delays(published, arrivals);
  return {
    p50_ms: percentile(arrivalsMs, 50),
    p95_ms: percentile(arrivalsMs, 95),
    p99_ms: percentile(arrivalsMs, 99),
    min_ms: Math.min(...arrivalsMs),
    max_ms: Math.max(...arrivalsMs),
    publish_p50_ms: percentile(
      published.map(({ publishMs }) => publishMs),
      50,
    ),
  };
}
