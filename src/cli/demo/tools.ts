import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../api-client';
import type { Receiver } from './receiver';

/** What one step of the demo showed. `seen` says it in words; a step that was not seen throws. */
export type Seen = { step: string; seen: string };

type Status = {
  status: string;
  held_because?: string;
  attempt_count: number;
  next_attempt_at: string | null;
  source: string;
};

const STEP_LIMIT_MS = 20_000;
const POLL_MS = 50;

export type Demo = {
  client: ApiClient;
  receiver: Receiver;
  /** The demo's own webhook and event type. */
  webhook: string;
  type: string;
  /** Every webhook of the demo signs with this one, so that its one receiver can verify. */
  secret: string;
  say: (line: string) => void;
};

/** The demo with another webhook and type, for a step that changes what it is given. It is deleted at the end. */
export async function withWebhook<T>(demo: Demo, settings: object, work: (demo: Demo) => Promise<T>): Promise<T> {
  const type = `demo.${randomBytes(4).toString('hex')}`;
  const { id } = await demo.client<{ id: string }>('POST', '/webhooks', {
    url: demo.receiver.url,
    events: [type],
    description: 'posthorn demo',
    secret: demo.secret,
    ...settings,
  });
  try {
    return await work({ ...demo, webhook: id, type });
  } finally {
    await demo.client('DELETE', `/webhooks/${id}`);
  }
}

/** Publishes `count` events, a few at a time; returns their ids. */
export async function publishMany(demo: Demo, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - ids.length) }, () => publish(demo));
    ids.push(...(await Promise.all(batch)));
  }
  return ids;
}

const AT_ONCE = 10;

export async function publish({ client, type }: Pick<Demo, 'client' | 'type'>): Promise<string> {
  const event = await client<{ id: string }>('POST', '/events', { type, data: { demo: true } });
  return event.id;
}

/** The demo's own delivery of an event: a running installation may have other webhooks that take everything. */
export async function deliveryOf({ client, webhook }: Demo, event: string): Promise<string> {
  const list = await client<{ data: { id: string; webhook_id: string }[] }>('GET', `/events/${event}/deliveries`);
  const own = list.data.find((d) => d.webhook_id === webhook);
  if (!own) throw new Error('the event made no delivery for the demo');
  return own.id;
}

export function untilStatus({ client }: Demo, delivery: string, wanted: (status: Status) => boolean): Promise<Status> {
  return until(async () => {
    const status = await client<Status>('GET', `/deliveries/${delivery}/status`);
    return wanted(status) ? status : undefined;
  }, `delivery ${delivery} to get there`);
}

export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  what: string,
  limitMs = STEP_LIMIT_MS,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s for ${what}`);
    await sleep(POLL_MS);
  }
}
