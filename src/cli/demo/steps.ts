import { type Demo, deliveryOf, publish, type Seen, until, untilStatus } from './tools';

/** Two short waits that the demo sits through, then one that only an operator ends. */
export const DEMO_SCHEDULE = { schedule: ['1s', '2s', '1h'], jitter: 0 };

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
