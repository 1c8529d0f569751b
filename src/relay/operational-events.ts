import type { Database } from '../db/database';
import { publishOperational } from '../db/operational-outbox';
import { type Log, reasonOf } from '../log';
import { createWakeUp } from './wake-up';

/** Another process may have written to the outbox and died before it told anyone. */
const POLL_MS = 1_000;
const BATCH = 100;
/** After a failure (database away). */
const BACK_OFF_MS = 1_000;

export type OperationalEvents = { nudge(): void; stop(): Promise<void> };

/** Turns the outbox into events of type `posthorn.*`, which are then delivered like any other. */
export function startOperationalEvents(db: Database, log: Log, onPublished: () => void): OperationalEvents {
  const wakeUp = createWakeUp();
  let stopping = false;

  async function loop(): Promise<void> {
    while (!stopping) {
      try {
        const published = await publishOperational(db.pool, BATCH);
        if (published > 0) onPublished();
        if (published < BATCH) await wakeUp.wait(POLL_MS);
      } catch (error) {
        log.warn({ event: 'operational_events_failed', err: reasonOf(error) });
        await wakeUp.wait(BACK_OFF_MS);
      }
    }
  }

  const running = loop();
  return {
    nudge: wakeUp.wake,
    async stop() {
      stopping = true;
      wakeUp.wake();
      await running;
    },
  };
}
