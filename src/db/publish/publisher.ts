import type { Pool } from 'pg';
import { createBatcher } from '../../concurrency/batcher';
import { RecentCount } from '../../concurrency/recent-count';
import { wasRefused } from '../statement-errors';
import { findDuplicate } from './earlier-events';
import { publishMany } from './publish-many';
import { publishOnce } from './publish-once';
import { publishEvent } from './publish-one';
import type { BatchEvent, KeyedRequest, NewEvent, Published, PublishedOnce } from './types';

/** Events of one statement; more would only make the first of them wait. */
const MAX_EVENTS = 64;
/** One statement writes while the one before it waits for its commit to reach the disk. */
const MAX_STATEMENTS = 2;
/** Deliveries that one shared statement makes at most; an event with more has a statement of its own. */
const MAX_DELIVERIES = 2_000;
/**
 * From 400 events a second on, statements are so far apart: each costs the same whatever it holds, and so does waking the
 * processes at both ends. A producer that waits for each answer before it publishes the next stays below.
 */
const GATHER_MS = 5;
const BUSY = { windowMs: 50, events: 20 };
/** What an event of a type that was not seen yet is taken to have. */
const UNKNOWN_FAN_OUT = 100;
const KNOWN_TYPES = 10_000;

export type Publisher = {
  /** So much is published that statements are {@link GATHER_MS} apart. */
  readonly busy: boolean;
  /** Publishes one event, in a statement that it may share with others. */
  publish(event: NewEvent): Promise<Published>;
  /** The same for a request with an `Idempotency-Key`: see {@link publishOnce}. */
  publishOnce(event: Omit<NewEvent, 'producerId'>, request: KeyedRequest): Promise<PublishedOnce>;
};

/** An event that waits for its statement. */
type Item = { event: NewEvent; request?: KeyedRequest };
type Outcome = Published | PublishedOnce;

/**
 * Publishes that come while others are under way share a statement, and with it its trip, its commit and its flush to
 * disk, whoever their tenants are. Each is answered once its own event is on disk. Where Postgres refuses a shared
 * statement, every event of it is published for itself, so that none fails for another's sake.
 */
export function createPublisher(pool: Pool): Publisher {
  const fanOut = new Map<string, number>();
  const recent = new RecentCount(BUSY.windowMs);
  const isBusy = () => recent.value >= BUSY.events;
  const typeOf = ({ tenantId, type }: NewEvent) => `${tenantId}/${type}`;

  const add = createBatcher<Item, Outcome>(publishTogether, {
    maxItems: MAX_EVENTS,
    maxRunning: MAX_STATEMENTS,
    gatherMs: () => (isBusy() ? GATHER_MS : 0),
    weightOf: ({ event }) => fanOut.get(typeOf(event)) ?? UNKNOWN_FAN_OUT,
    maxWeight: MAX_DELIVERIES,
    // Only the key of a request may not come twice in one statement.
    keyOf: ({ event, request }) => request && `${event.tenantId}/${request.key}`,
    // One of them, or a week without a partition, may be why; alone it is made.
    aloneAfter: wasRefused,
  });

  async function publishTogether(items: Item[]): Promise<(Outcome | Promise<Outcome>)[]> {
    if (items.length === 1) return [await publishAlone(items[0]!)];
    const results = await publishMany(pool, items.map(toBatchEvent));
    return results.map((result, i) => {
      const { event, request } = items[i]!;
      if (!result) return publishOnce(pool, event, request!); // its key is taken
      if (result.duplicate) return findDuplicate(pool, event);
      learn(event, result.deliveries);
      if (request) return { state: 'published', deliveries: result.deliveries };
      return { ...result, type: event.type, createdAt: event.createdAt };
    });
  }

  async function publishAlone({ event, request }: Item): Promise<Outcome> {
    if (request) {
      const once = await publishOnce(pool, event, request);
      if (once.state === 'published') learn(event, once.deliveries);
      return once;
    }
    const published = await publishEvent(pool, event);
    if (!published.duplicate) learn(event, published.deliveries);
    return published;
  }

  function learn(event: NewEvent, deliveries: number): void {
    if (fanOut.size >= KNOWN_TYPES) fanOut.clear();
    fanOut.set(typeOf(event), deliveries);
  }

  function count(item: Item): Promise<Outcome> {
    recent.add();
    return add(item);
  }

  return {
    get busy() {
      return isBusy();
    },
    publish: async (event) => (await count({ event })) as Published,
    publishOnce: async (event, request) => (await count({ event, request })) as PublishedOnce,
  };
}

function toBatchEvent({ event: { producerId, ...event }, request }: Item): BatchEvent {
  return {
    ...event,
    ...(producerId !== undefined && { once: { kind: 'event', key: producerId } }),
    ...(request && { request }),
  };
}
