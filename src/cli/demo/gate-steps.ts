import { type Demo, deliveryOf, publish, publishMany, type Seen, until, untilStatus, withWebhook } from './tools';

type Webhook = {
  status: string;
  status_reason: string | null;
  health: { circuit: string; failures_in_a_row: number };
};

const HELD = 5;
const BREAKER = { circuit_breaker: { failures: 3, window: '1m', open_for: '2s' }, disable_after: null };

const webhookOf = (demo: Demo) => demo.client<Webhook>('GET', `/webhooks/${demo.webhook}`);
const arrivalsOf = (demo: Demo, events: string[]) =>
  demo.receiver.arrivals.filter(({ eventId }) => events.includes(eventId));

/** A pause holds what is published; nothing is lost or sent twice when it ends. */
export function pauseAndResume(demo: Demo): Promise<Seen> {
  demo.receiver.up();
  return withWebhook(demo, {}, async (own) => {
    await own.client('POST', `/webhooks/${own.webhook}/pause`);
    const events = await publishMany(own, HELD);
    const held = await untilStatus(own, await deliveryOf(own, events[0]!), (s) => s.status === 'held');
    if (arrivalsOf(own, events).length > 0) throw new Error('something arrived behind a pause');
    const resumedAt = performance.now();
    await own.client('POST', `/webhooks/${own.webhook}/resume`);
    await until(() => arrivalsOf(own, events).length >= HELD || undefined, 'what was held to arrive');
    for (const event of events) await untilStatus(own, await deliveryOf(own, event), (s) => s.status === 'delivered');
    const arrivals = arrivalsOf(own, events);
    if (arrivals.length !== HELD) throw new Error(`${arrivals.length} arrivals of ${HELD} events`);
    const firstMs = Math.round(Math.min(...arrivals.map(({ atMs }) => atMs)) - resumedAt);
    return {
      step: 'pause, hold, resume',
      seen: `${HELD} held (${held.held_because}), 0 arrived; the first ${firstMs} ms after resume, each once`,
    };
  });
}

/** Failures in a row open the breaker; one probe closes it again. */
export function breakerOpensAndCloses(demo: Demo): Promise<Seen> {
  demo.receiver.down();
  return withWebhook(demo, { ...BREAKER, retry_policy: { schedule: ['1h'] } }, async (own) => {
    const failing = await publishMany(own, BREAKER.circuit_breaker.failures);
    await until(async () => (await webhookOf(own)).health.circuit === 'open' || undefined, 'the breaker to open');
    const waiting = await publishMany(own, HELD);
    const held = await untilStatus(own, await deliveryOf(own, waiting[0]!), (s) => s.status === 'held');
    own.receiver.up();
    await until(async () => (await webhookOf(own)).health.circuit === 'closed' || undefined, 'the breaker to close');
    for (const event of waiting) await untilStatus(own, await deliveryOf(own, event), (s) => s.status === 'delivered');
    return {
      step: 'circuit breaker',
      seen: `open after ${failing.length} failures, ${HELD} held (${held.held_because}); a probe closed it, all ${HELD} delivered`,
    };
  });
}

/** 410: the endpoint asks for no more. */
export function goneDisables(demo: Demo): Promise<Seen> {
  demo.receiver.answer(410);
  return withWebhook(demo, {}, async (own) => {
    const delivery = await deliveryOf(own, await publish(own));
    await untilStatus(own, delivery, (s) => s.status === 'failed');
    const { status, status_reason } = await webhookOf(own);
    if (status !== 'disabled') throw new Error(`the webhook is ${status} after a 410`);
    const kept = await untilStatus(own, await deliveryOf(own, await publish(own)), (s) => s.status === 'held');
    return {
      step: '410 Gone',
      seen: `webhook ${status} (${status_reason}); the next event is held (${kept.held_because})`,
    };
  });
}
