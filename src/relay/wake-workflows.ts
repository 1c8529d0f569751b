import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import { workflowId } from '../temporal/names';
import { withinLimit } from '../temporal/within-limit';

/** Signals under way at once. */
const CONCURRENCY = 16;
const SIGNAL_LIMIT_MS = 2_000;
/** Deliveries whose workflows wait for their signal; those beyond end when their timers fire. */
const MAX_WAITING = 10_000;
const MAX_TRIES = 5;
/** After a failed signal; twice as long after each further one, until one succeeds. */
const BACK_OFF = { firstMs: 1_000, maxMs: 60_000 };

export type WorkflowWakes = {
  /** Signals the workflows of these deliveries, soon; returns at once. */
  add(deliveryIds: readonly string[]): void;
  /** Sends no more, and waits for what is under way. */
  stop(): Promise<void>;
};

/**
 * Wakes the workflows of deliveries that have ended in Postgres: they find no row and end now. It has a queue of its own,
 * so that what ends deliveries in Postgres never waits for Temporal. Best effort: a workflow that gets no signal, because
 * Temporal is unavailable or too many wait, ends when its timer fires.
 */
export function createWorkflowWakes(client: Client): WorkflowWakes {
  let waiting: { id: string; tries: number }[] = [];
  const underWay = new Set<Promise<void>>();
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let stopping = false;

  function next(): void {
    while (!stopping && !timer && underWay.size < CONCURRENCY && waiting.length > 0) {
      const one = waiting.shift()!;
      const sent: Promise<void> = signal(one.id)
        .then(() => {
          failures = 0;
        })
        .catch(() => {
          if (one.tries + 1 < MAX_TRIES && waiting.length < MAX_WAITING) {
            waiting.push({ id: one.id, tries: one.tries + 1 });
          }
          backOff();
        })
        .finally(() => {
          underWay.delete(sent);
          next();
        });
      underWay.add(sent);
    }
  }

  function backOff(): void {
    if (timer || stopping) return;
    const waitMs = Math.min(BACK_OFF.firstMs * 2 ** failures++, BACK_OFF.maxMs);
    timer = setTimeout(() => {
      timer = undefined;
      next();
    }, waitMs);
  }

  async function signal(deliveryId: string): Promise<void> {
    try {
      await withinLimit(client, SIGNAL_LIMIT_MS, () =>
        client.workflow.getHandle(workflowId(deliveryId)).signal('wake'),
      );
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error; // it has ended by itself
    }
  }

  return {
    add(deliveryIds) {
      const room = Math.max(0, MAX_WAITING - waiting.length);
      for (const id of deliveryIds.slice(0, room)) waiting.push({ id, tries: 0 });
      next();
    },
    async stop() {
      stopping = true;
      clearTimeout(timer);
      waiting = [];
      await Promise.all(underWay);
    },
  };
}
