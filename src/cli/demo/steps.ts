import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../api-client';
import type { Receiver } from './receiver';

/** What one step of the demo showed. `seen` says it in words; a step that was not seen throws. */
export type Seen = { step: string; seen: string };

type Status = { status: string; attempt_count: number; next_attempt_at: string | null; source: string };

const STEP_LIMIT_MS = 20_000;
const POLL_MS = 50;
/** Two short waits that the demo sits through, then one that only an operator ends. */
export const DEMO_SCHEDULE = { schedule: ['1s', '2s', '1h'], jitter: 0 };

export type Demo = {
  client: ApiClient;
  receiver: Receiver /** The demo's own webhook and event type. */;
  webhook: string;
  type: string;
};

export async function publishAndDeliver(demo: Demo): Promise<Seen> {
  demo.receiver.up();
  const began = performance.now();
  const event = await publish(demo);
  const arrival = await until(() => demo.receiver.arrivals.find((a) => a.eventId === event), 'the event to arrive');
  if (!arrival.verified) throw new Error('the signature did not verify');
  const latencyMs = Math.round(arrival.atMs - began);
  await untilStatus(demo, await deliveryOf(demo, event), (s) => s.status === 'delivered');
  return { step: 'publish', seen: `delivered in ${latencyMs} ms, signature verified` };
}

export async function failAndReplay(demo: Demo): Promise<Seen> {
  const { event, delivery, waiting } = await failUntilTheLongWait(demo);
  const times = demo.receiver.arrivals.filter((a) => a.eventId === event).map((a) => a.atMs);
  const gaps = times.slice(1).map((at, i) => Math.round(at - times[i]!));
  if (gaps[0]! < 1_000 || gaps[1]! < 2_000) throw new Error(`attempts came too early: ${gaps.join(', ')} ms apart`);
  const minutes = Math.round((Date.parse(waiting.next_attempt_at!) - Date.now()) / 60_000);
  demo.receiver.up();
  await demo.client('POST', `/deliveries/${delivery}/retry`);
  const done = await untilStatus(demo, delivery, (s) => s.status === 'delivered');
  return {
    step: 'retry and replay',
    seen: `3 attempts, ${gaps.join(' and ')} ms apart; timer of ${minutes} min in the workflow; replayed: attempt ${done.attempt_count} delivered`,
  };
}

export async function failAndCancel(demo: Demo): Promise<Seen> {
  demo.receiver.down();
  const delivery = await deliveryOf(demo, await publish(demo));
  await untilStatus(demo, delivery, (s) => s.status === 'retrying');
  await demo.client('POST', `/deliveries/${delivery}/cancel`);
  const { attempt_count } = await untilStatus(demo, delivery, (s) => s.status === 'cancelled');
  return { step: 'cancel', seen: `cancelled while it waited, after ${attempt_count} attempt(s)` };
}

export async function failAndReschedule(demo: Demo): Promise<Seen> {
  const { delivery } = await failUntilTheLongWait(demo);
  demo.receiver.up();
  const at = new Date(Date.now() + 1_500);
  await demo.client('POST', `/deliveries/${delivery}/reschedule`, { at: at.toISOString() });
  await untilStatus(demo, delivery, (s) => s.status === 'delivered');
  const lateMs = Date.now() - at.getTime();
  if (lateMs < 0) throw new Error('it was sent before the time it was moved to');
  return { step: 'reschedule', seen: `1 h wait moved to 1.5 s from now; delivered ${lateMs} ms after that time` };
}

async function failUntilTheLongWait(demo: Demo) {
  demo.receiver.down();
  const event = await publish(demo);
  const delivery = await deliveryOf(demo, event);
  const waiting = await untilStatus(
    demo,
    delivery,
    (s) => s.status === 'retrying' && s.attempt_count === 3 && s.source === 'workflow',
  );
  return { event, delivery, waiting };
}

async function publish({ client, type }: Demo): Promise<string> {
  const event = await client<{ id: string }>('POST', '/events', { type, data: { demo: true } });
  return event.id;
}

async function deliveryOf({ client, webhook }: Demo, event: string): Promise<string> {
  const list = await client<{ data: { id: string; webhook_id: string }[] }>('GET', `/events/${event}/deliveries`);
  // A running installation may have other webhooks that take everything; the demo's own is found by its id.
  const own = list.data.find((d) => d.webhook_id === webhook);
  if (!own) throw new Error('the event made no delivery for the demo');
  return own.id;
}

function untilStatus({ client }: Demo, delivery: string, wanted: (status: Status) => boolean): Promise<Status> {
  return until(async () => {
    const status = await client<Status>('GET', `/deliveries/${delivery}/status`);
    return wanted(status) ? status : undefined;
  }, `delivery ${delivery} to get there`);
}

async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + STEP_LIMIT_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited ${STEP_LIMIT_MS / 1000} s for ${what}`);
    await sleep(POLL_MS);
  }
}
