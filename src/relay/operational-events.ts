import { createRests, restAfter } from '../concurrency/rest';
import type { Database } from '../db/database';
import { FIRST_TENANT, nextBatches, type TenantBatch } from '../db/publish/operational-batches';
import { type BatchResult, type Failure, publishBatch } from '../db/publish/operational-outbox';
import { MAX_FAN_OUT } from '../db/publish/publish-operational';
import { toPublicId } from '../domain/ids';
import { type Log, reasonOf } from '../log';
import { createWakeUp } from './wake-up';

/** Another process may have written to the outbox and died before it notified anyone. */
const POLL_MS = 1_000;
/** Tenants that one look at the outbox finds. */
const TENANTS = 50;
/** Batches at once: one that takes long leaves the other connection to the rest. */
const AT_ONCE = 2;
/** Between two rounds of looks: whoever raises very many events nudges as often. */
const LOOK_EVERY_MS = 25;
/** After a failure (database away). */
const BACK_OFF_MS = 1_000;
/** A tenant is passed over after each of its batches: it uses a tenth of one connection, however much there is of it. */
const REST = { factor: 9, minMs: 50, maxMs: 5_000 };
/**
 * What the operational events of one tenant put into the queue in the long run, from each worker: each delivery costs
 * far more later than it does here.
 */
export const MAX_DELIVERIES_PER_SECOND = 500;
/** For so long a tenant is passed over whose statement ran out of time; twice as long each time. */
const SLOW_REST = { firstMs: 10_000, maxMs: 600_000 };
/** Tenants that may be passed over at once; the first is forgotten for another. */
const MAX_RESTING = 10_000;
/** So often at most the log says that a tenant's events go to some of its webhooks only. */
const SAY_CUT_EVERY_MS = 60_000;

export type OperationalEvents = { nudge(): void; stop(): Promise<void> };

/**
 * Turns the outbox into events of type `posthorn.*`, which are then delivered like any other: tenant by tenant, each a
 * few rows at a time, with a rest after it.
 */
export function startOperationalEvents(db: Database, log: Log, onPublished: () => void): OperationalEvents {
  const wakeUp = createWakeUp();
  const rests = createRests(MAX_RESTING);
  /** The last rest of those that are slow, milliseconds. */
  const slowRests = new Map<string, number>();
  let saidCutAtMs = Number.NEGATIVE_INFINITY;
  let cursor = FIRST_TENANT;
  let stopping = false;

  async function loop(): Promise<void> {
    let beganMs = performance.now();
    let published = false;
    while (!stopping) {
      try {
        const next = await nextBatches(db.pool, cursor, TENANTS, rests.keys());
        cursor = next.cursor ?? FIRST_TENANT;
        published = (await publishAll(next.batches)) || published;
        if (next.cursor !== undefined) continue;
        // Every tenant has had its batch, or rests.
        if (!published) await wakeUp.wait(Math.min(POLL_MS, rests.firstEndsInMs()));
        published = false;
        const leftMs = beganMs + LOOK_EVERY_MS - performance.now();
        if (leftMs > 0 && !stopping) await wakeUp.pause(leftMs);
        beganMs = performance.now();
      } catch (error) {
        log.warn({ event: 'operational_events_failed', err: reasonOf(error) });
        await wakeUp.pause(BACK_OFF_MS);
      }
    }
  }

  /** Whether anything was published. Ends all batches before it throws. */
  async function publishAll(batches: TenantBatch[]): Promise<boolean> {
    const ready = batches.filter(({ rows }) => rows.length > 0).values();
    let published = false;
    const ends = await Promise.allSettled(
      Array.from({ length: AT_ONCE }, async () => {
        for (const batch of ready) {
          if (stopping) return;
          const beganMs = performance.now();
          const result = await publishBatch(db.pool, batch);
          rest(batch.tenantId, result, performance.now() - beganMs);
          tell(batch.tenantId, result);
          if (result.published === 0) continue;
          published = true;
          onPublished();
        }
      }),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    return published;
  }

  function rest(tenantId: string, { deliveries, slow }: BatchResult, tookMs: number): void {
    const slowBeforeMs = slowRests.get(tenantId);
    slowRests.delete(tenantId);
    if (!slow) {
      rests.begin(tenantId, Math.max(restAfter(tookMs, REST), (deliveries * 1_000) / MAX_DELIVERIES_PER_SECOND));
      return;
    }
    const ms = slowBeforeMs ? Math.min(SLOW_REST.maxMs, 2 * slowBeforeMs) : SLOW_REST.firstMs;
    if (slowRests.size >= MAX_RESTING) slowRests.delete(slowRests.keys().next().value!);
    slowRests.set(tenantId, ms);
    rests.begin(tenantId, ms);
  }

  function tell(tenantId: string, { failures, cut }: BatchResult): void {
    for (const failure of failures) tellFailure(failure);
    if (cut && performance.now() - saidCutAtMs >= SAY_CUT_EVERY_MS) {
      saidCutAtMs = performance.now();
      const tenant = toPublicId('tenant', tenantId);
      log.warn({ event: 'operational_fan_out_cut', tenant_id: tenant, webhooks: MAX_FAN_OUT });
    }
  }

  function tellFailure({ row, errorCode, tries, setAside }: Failure): void {
    log.warn({
      event: setAside ? 'operational_event_dropped' : 'operational_event_failed',
      outbox_id: row.id,
      tenant_id: toPublicId('tenant', row.tenantId),
      webhook_id: toPublicId('webhook', row.webhookId),
      ...(row.deliveryId && { delivery_id: toPublicId('delivery', row.deliveryId) }),
      type: row.type,
      error_code: errorCode,
      tries,
    });
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
