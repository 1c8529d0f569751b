import type { Pool } from 'pg';
import { createBatcher } from './batcher';
import { wasRefused } from './database';
import { type NewEvent, type Published, publishEvent, readDuplicate } from './publish';
import { type BatchEvent, publishChunk } from './publish-batch';

/** Events of one statement; more would only make the first of them wait. */
const MAX_EVENTS = 64;
/** One statement writes while the one before it waits for its commit to reach the disk. */
const MAX_STATEMENTS = 2;
/** Deliveries that one shared statement makes at most; an event with more has a statement of its own. */
const MAX_DELIVERIES = 2_000;
/** What an event of a type that was not seen yet is taken to have. */
const UNKNOWN_FAN_OUT = 100;
const KNOWN_TYPES = 10_000;

/** Publishes one event, in a statement that it may share with others. */
export type Publisher = (event: NewEvent) => Promise<Published>;

/**
 * Publishes that come while others are under way share a statement, and with it its trip, its commit and its flush to
 * disk, whoever their tenants are. Each is answered once its own event is on disk. Where Postgres refuses a shared
 * statement, every event of it is published for itself, so that none fails for another's sake.
 */
export function createPublisher(pool: Pool): Publisher {
  const fanOut = new Map<string, number>();
  const typeOf = ({ tenantId, type }: NewEvent) => `${tenantId}/${type}`;

  return createBatcher(publishTogether, {
    maxItems: MAX_EVENTS,
    maxRunning: MAX_STATEMENTS,
    weightOf: (event) => fanOut.get(typeOf(event)) ?? UNKNOWN_FAN_OUT,
    maxWeight: MAX_DELIVERIES,
  });

  async function publishTogether(events: NewEvent[]): Promise<(Published | Promise<Published>)[]> {
    if (events.length === 1) return [await publishOne(events[0]!)];
    try {
      const results = await publishChunk(pool, events.map(toBatchEvent));
      return results.map(({ eventId, deliveries, duplicate }, i) => {
        const event = events[i]!;
        if (duplicate) return readDuplicate(pool, event);
        learn(event, deliveries);
        return { eventId, type: event.type, createdAt: event.createdAt, deliveries, duplicate };
      });
    } catch (error) {
      // Refused as a whole, so nothing of it was written. One of them, or a week without a partition, may be why.
      if (!wasRefused(error)) throw error;
      return events.map(publishOne);
    }
  }

  async function publishOne(event: NewEvent): Promise<Published> {
    const published = await publishEvent(pool, event);
    if (!published.duplicate) learn(event, published.deliveries);
    return published;
  }

  function learn(event: NewEvent, deliveries: number): void {
    if (fanOut.size >= KNOWN_TYPES) fanOut.clear();
    fanOut.set(typeOf(event), deliveries);
  }
}

const toBatchEvent = ({ producerId, ...event }: NewEvent): BatchEvent =>
  producerId === undefined ? event : { ...event, once: { kind: 'event', key: producerId } };
