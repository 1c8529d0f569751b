import { nowMs } from '../clock';
import { eventData } from '../event-data';
import { type Figures, percentile } from '../figures';
import { nextMark } from '../mark';
import { type RoundOptions, roundOptions } from '../options';
import type { ByProcess, Rig } from '../rig';
import type { BenchOptions, Outcome } from '../scenario';

const EVENTS = 3_000;
const WARM_UP = 3_000;
const PER_BATCH = 100;
/**
 * Types, and how many webhooks take them. Batches take many events at once: so many times those of the rounds that send
 * them one by one, or every connection would send too few requests to be measured by.
 */
const TYPES = {
  one: { type: 'publish.one', webhooks: 1, batchTimes: 10 },
  ten: { type: 'publish.ten', webhooks: 10, batchTimes: 3 },
} as const;

type Phase = {
  perSecond: number;
  requestMs: number[];
  cpuMs: ByProcess;
  events: number;
};
type Mode = { type: string; perRequest: number; keyed?: true };

/**
 * How fast events are accepted while nothing is delivered: their webhooks are paused. Every connection sends its next
 * request as soon as the last one was answered.
 */
export const publish = {
  about: 'events accepted per second, one by one and in batches of 100, for 1 and for 10 paused webhooks',
  options: roundOptions,
  connections: 50,
  profiled: 'api' as const,
  needs: 'posthorn' as const,
  run,
};

async function run(rig: Rig, options: BenchOptions & RoundOptions): Promise<Outcome> {
  const { payloadBytes: bytes, connections } = options;
  const events = options.events ?? EVENTS;
  const warmup = options.warmup ?? WARM_UP;
  for (const { type, webhooks } of Object.values(TYPES)) {
    for (let n = 1; n <= webhooks; n++) await rig.target.pause(await rig.receive(`/${type}/${n}`, type));
  }
  const marks: Record<string, string[]> = { [TYPES.one.type]: [], [TYPES.ten.type]: [] };
  const phase = async (label: string, mode: Mode, count: number): Promise<Phase> => {
    const sent = Array.from({ length: count }, () => nextMark('publish'));
    marks[mode.type]!.push(...sent);
    const measured = await publishRequests(rig, mode, sent, { connections, bytes });
    rig.say(`publish: ${label}: ${Math.round(measured.perSecond)} events/s`);
    return measured;
  };
  const single = (type: string): Mode => ({ type, perRequest: 1 });
  const batch = (type: string): Mode => ({ type, perRequest: PER_BATCH });

  await phase('warm-up', single(TYPES.one.type), warmup);
  await phase('warm-up, batches', batch(TYPES.one.type), Math.max(warmup, PER_BATCH));
  const repeats: Figures[] = [];
  for (let n = 1; n <= options.repeats; n++) {
    const at = (what: string) => `round ${n} of ${options.repeats}, ${what}`;
    repeats.push(
      toFigures({
        single: await phase(at('1 webhook'), single(TYPES.one.type), events),
        keyed: await phase(at('1 webhook, Idempotency-Key'), { ...single(TYPES.one.type), keyed: true }, events),
        batch: await phase(at('1 webhook, batches'), batch(TYPES.one.type), events * TYPES.one.batchTimes),
        singleTen: await phase(at('10 webhooks'), single(TYPES.ten.type), events),
        batchTen: await phase(at('10 webhooks, batches'), batch(TYPES.ten.type), events * TYPES.ten.batchTimes),
      }),
    );
  }
  const settings = { events, per_batch: PER_BATCH, warmup, payload_bytes: bytes };
  return { repeats, proof: await prove(rig, marks), settings };
}

async function publishRequests(
  rig: Rig,
  { type, perRequest, keyed }: Mode,
  marks: readonly string[],
  { connections, bytes }: { connections: number; bytes: number },
): Promise<Phase> {
  const requestMs: number[] = [];
  let next = 0;
  const publisher = async () => {
    while (next < marks.length) {
      const sent = marks.slice(next, next + perRequest);
      next += perRequest;
      const beganMs = nowMs();
      if (perRequest > 1) {
        await rig.target.publishBatch(
          sent.map((mark) => eventData(mark, bytes)),
          type,
        );
      } else await rig.target.publish(eventData(sent[0]!, bytes), type, keyed && { idempotencyKey: sent[0]! });
      requestMs.push(nowMs() - beganMs);
    }
  };
  const before = rig.cpu();
  const beganMs = nowMs();
  await Promise.all(Array.from({ length: connections }, publisher));
  const perSecond = (marks.length * 1000) / (nowMs() - beganMs);
  const after = rig.cpu();
  const cpuMs = Object.fromEntries(
    Object.entries(after).map(([name, ms]) => [name, ms - before[name as keyof ByProcess]]),
  ) as ByProcess;
  return { perSecond, requestMs, cpuMs, events: marks.length };
}

function toFigures(phases: Record<'single' | 'keyed' | 'batch' | 'singleTen' | 'batchTen', Phase>): Figures {
  const { single, keyed, batch, singleTen, batchTen } = phases;
  return {
    single_per_s: single.perSecond,
    batch_per_s: batch.perSecond,
    single_10_per_s: singleTen.perSecond,
    batch_10_per_s: batchTen.perSecond,
    keyed_per_s: keyed.perSecond,
    p50_ms: percentile(single.requestMs, 50),
    p99_ms: percentile(single.requestMs, 99),
    batch_p50_ms: percentile(batch.requestMs, 50),
    batch_p99_ms: percentile(batch.requestMs, 99),
    cpu_ms_per_event: perEvent(single),
    keyed_cpu_ms_per_event: perEvent(keyed),
    batch_cpu_ms_per_event: perEvent(batch),
    cpu_10_ms_per_event: perEvent(singleTen),
    batch_10_cpu_ms_per_event: perEvent(batchTen),
  };
}

/** Of the processes that have a part in it. */
function perEvent({ cpuMs, events }: Phase) {
  const { api, postgres, harness } = cpuMs;
  return { api: api / events, postgres: postgres / events, harness: harness / events };
}

/** Each event that was acknowledged is in the database once, with a queued delivery for every webhook. */
async function prove(rig: Rig, marks: Record<string, string[]>): Promise<{ lost: number; duplicates: number }> {
  let [lost, duplicates] = [0, 0];
  for (const { type, webhooks } of Object.values(TYPES)) {
    const stored = await rig.database.events(type);
    for (const mark of marks[type]!) {
      const times = stored.get(mark) ?? [];
      if (times.length === 0) lost++;
      duplicates += Math.max(0, times.length - 1);
      for (const deliveries of times) {
        lost += Math.max(0, webhooks - deliveries);
        duplicates += Math.max(0, deliveries - webhooks);
      }
    }
  }
  return { lost, duplicates };
}
