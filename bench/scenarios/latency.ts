import { nowMs } from '../clock';
import { eventData } from '../event-data';
import { type Figures, percentile } from '../figures';
import { addProofs, prove } from '../load';
import { nextMark } from '../mark';
import { type RoundOptions, roundOptions } from '../options';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome, Proof } from '../scenario';

const SAMPLES = 200;
/** Enough for the code of every process to be compiled. */
const WARM_UP = 1_000;
const ARRIVAL_LIMIT_MS = 30_000;

type Sample = { publishMs: number; arrivalMs: number };

/** One event at a time: from before its publish to its last byte at the receiver. */
export const latency = { about: 'sequential publish → arrival, milliseconds', options: roundOptions, run };

async function run(rig: Rig, options: BenchOptions & RoundOptions): Promise<Outcome> {
  const events = options.events ?? SAMPLES;
  const warmup = options.warmup ?? WARM_UP;
  const proofs: Proof[] = [];
  const round = async (name: string, count: number): Promise<Sample[]> => {
    const marks: string[] = [];
    const samples: Sample[] = [];
    for (let n = 0; n < count; n++) {
      const mark = nextMark(name);
      marks.push(mark);
      samples.push(await one(rig, mark, options.payloadBytes));
    }
    proofs.push((await prove(rig, marks)).proof);
    return samples;
  };

  rig.say(`latency: warm-up, ${warmup} events`);
  await round('warm', warmup);
  const repeats: Figures[] = [];
  for (let n = 1; n <= options.repeats; n++) {
    const figures = toFigures(await round('latency', events));
    repeats.push(figures);
    rig.say(`latency: round ${n} of ${options.repeats}: p50 ${(figures.p50_ms as number).toFixed(1)} ms`);
  }
  const settings = { events, warmup, payload_bytes: options.payloadBytes };
  return { repeats, proof: addProofs(proofs), settings };
}

async function one(rig: Rig, mark: string, bytes: number): Promise<Sample> {
  const arrived = rig.receiver('waitFor', mark, ARRIVAL_LIMIT_MS);
  const beganMs = nowMs();
  // Both, so that a publish that fails is reported as such.
  const [publishedMs, arrivedMs] = await Promise.all([rig.target.publish(eventData(mark, bytes)).then(nowMs), arrived]);
  return { publishMs: publishedMs - beganMs, arrivalMs: arrivedMs - beganMs };
}

function toFigures(samples: Sample[]): Figures {
  const arrivals = samples.map(({ arrivalMs }) => arrivalMs);
  return {
    p50_ms: percentile(arrivals, 50),
    p95_ms: percentile(arrivals, 95),
    p99_ms: percentile(arrivals, 99),
    min_ms: Math.min(...arrivals),
    max_ms: Math.max(...arrivals),
    publish_p50_ms: percentile(
      samples.map(({ publishMs }) => publishMs),
      50,
    ),
  };
}
