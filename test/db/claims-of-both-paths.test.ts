import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import { claimExpress } from '../../src/db/queue/claim-express';
import { type ClaimedDelivery, claimDeliveries } from '../../src/db/queue/claim-workflow';
import { releaseExpress, releaseLease } from '../../src/db/queue/leases';
import { loadAttempts } from '../../src/db/queue/load-attempt';
import { DELIVERY_MODES, DELIVERY_PATHS, type DeliveryPath } from '../../src/domain/delivery-mode';
import { newUuid } from '../../src/domain/ids';
import { PRIORITY_NAMES } from '../../src/domain/priorities';
import { databaseForFile } from '../support/for-tests';
import { seededRandom } from '../support/random';
import { addHolder, addWebhook, attemptOf, DELIVERED, HOLDER, queueOf, ROOM, recordAttempts, webhook } from './support';

/** Of each path. */
const CLAIMERS = 2;
const WEBHOOKS = 50;
const ROWS_EACH = 100;
const ROWS = WEBHOOKS * ROWS_EACH;
const LEASE_MS = 60_000;
/** Of a claimer that is about to die, so that the test need not wait for long. */
const LAST_LEASE_MS = 500;
/** Leases of the express path are over when their holder is dead, whatever the clock says. */
const NO_LEASE_MS = 0;
const isOrdered = (n: number) => n % 25 === 0;

const db = databaseForFile({ poolSize: 2 * CLAIMERS, planner: 'queue' });

/** Deliveries as a publish leaves them. */
async function addDeliveries(webhookId: string, count: number): Promise<void> {
  await db.pool.query(
    `with new as materialized (select id, nth from unnest($2::uuid[]) with ordinality t(id, nth)),
     e as (insert into events (id, tenant_id, type, body, created_at) select id, $1, 'a.b', '{}', now() from new),
     d as (insert into deliveries (id, tenant_id, event_id, webhook_id, event_type) select id, $1, id, $1, 'a.b' from new)
     insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type)
     select id, $1, id, $1, 'a.b' from new order by nth`,
    [webhookId, Array.from({ length: count }, () => newUuid())],
  );
}

type Taken = Pick<ClaimedDelivery, 'deliveryId' | 'webhookId' | 'tenantId'>;

/** What both paths have to do with a claim's rows. */
const paths = {
  workflow: {
    claim: claimDeliveries,
    giveBack: async (ids: string[], holder: number) =>
      void (await Promise.all(ids.map((id) => releaseLease(db.kysely, id, holder)))),
  },
  express: {
    claim: claimExpress,
    giveBack: (ids: string[], holder: number) =>
      releaseExpress(
        db.kysely,
        ids.map((deliveryId) => ({ deliveryId, number: 1 })),
        holder,
      ),
  },
};

test('claimers of both paths, some of which die: no row is ever two’s at once, each ends once, ordered ones in order', async () => {
  for (let n = 1; n <= WEBHOOKS; n++) {
    await addWebhook(db.pool, webhook(n), 0, { ordered: isOrdered(n) });
    await addDeliveries(webhook(n), ROWS_EACH);
  }
  const orderedOnes = Array.from({ length: WEBHOOKS }, (_, i) => i + 1)
    .filter(isOrdered)
    .map(webhook);
  const published = await Promise.all(orderedOnes.map((id) => queueOf(db.pool, id)));
  const random = seededRandom(20);
  /** Until when a row is somebody's, on this process's clock: never later than in the database. */
  const heldUntil = new Map<string, number>();
  let holders = HOLDER;
  const ended: { id: string; webhookId: string; path: DeliveryPath }[] = [];
  const wrong: string[] = [];
  const did = { died: 0, gaveBack: 0, recorded: 0 };

  async function claimer(path: DeliveryPath): Promise<void> {
    let cursors = FIRST_CURSORS;
    while (ended.length < ROWS && wrong.length === 0) {
      const fate = random() < 0.05 ? 'died' : random() < 0.1 ? 'gaveBack' : 'recorded';
      const leaseMs = path === 'express' ? NO_LEASE_MS : fate === 'died' ? LAST_LEASE_MS : LEASE_MS;
      const holder = await addHolder(db.pool, ++holders);
      const sentAt = performance.now();
      const claim = await paths[path].claim(db.pool, {
        ...{ priorities: PRIORITY_NAMES, cursors, scan: 20, limit: 40, perWebhook: 10, budget: EMPTY_BUDGET },
        ...{ leaseMs, holder, allowance: ROOM },
        // Each worker decides about `auto` for itself, so both paths may serve it.
        claimant: { path, modes: [path, 'auto'], defaultMode: 'auto' },
      });
      const gotAt = performance.now();
      cursors = claim.nextCursors;
      const taken: Taken[] = claim.deliveries;
      const ids = taken.map(({ deliveryId }) => deliveryId);
      for (const id of ids) {
        if ((heldUntil.get(id) ?? 0) > gotAt) wrong.push(`${id} is somebody else's`);
        heldUntil.set(id, path === 'express' ? Number.POSITIVE_INFINITY : sentAt + leaseMs);
      }
      if (ids.length > 0) did[fate]++;
      // What the express path has in hand is no workflow's.
      if (path === 'express' && ids[0]) {
        const fence = { holder: HOLDER, cause: 'claimed' } as const;
        const [facts] = await loadAttempts(db.pool, [{ deliveryId: ids[0], number: 1, fence }]);
        if (facts?.fenced || facts?.queue?.heldBy !== 'express') wrong.push(`${ids[0]} was given to a workflow`);
      }
      if (fate === 'died' && path === 'express') {
        for (const id of ids) heldUntil.delete(id);
        await db.pool.query('delete from lease_holders where id = $1', [holder]);
      } else if (fate === 'gaveBack') {
        for (const id of ids) heldUntil.delete(id);
        await paths[path].giveBack(ids, holder);
      } else if (fate === 'recorded' && ids.length > 0) {
        ended.push(...taken.map(({ deliveryId: id, webhookId }) => ({ id, webhookId, path })));
        const trigger = 'schedule' as const;
        const records = taken.map((one) =>
          attemptOf({ ...one, eventType: 'a.b', host: '', attempt: 0, trigger, askedBy: null, cap: 1 }, 1, DELIVERED),
        );
        const { moved } = await recordAttempts(
          db.pool,
          records.map((record) => ({ ...record, path, holder })),
        );
        if (moved.size !== ids.length) wrong.push(`${ids.length - moved.size} had moved on`);
      }
      await changeAMode();
    }
  }

  /** Webhooks change hands while they have a backlog. */
  async function changeAMode(): Promise<void> {
    const modes = [...DELIVERY_MODES, null];
    await db.pool.query('update webhook_gates set mode = $2 where webhook_id = $1', [
      webhook(1 + Math.floor(random() * WEBHOOKS)),
      modes[Math.floor(random() * modes.length)],
    ]);
  }

  await Promise.all(DELIVERY_PATHS.flatMap((path) => Array.from({ length: CLAIMERS }, () => claimer(path))));

  expect(wrong).toEqual([]);
  expect(new Set(ended.map(({ id }) => id)).size).toBe(ROWS);
  expect(ended).toHaveLength(ROWS);
  for (const [i, webhookId] of orderedOnes.entries()) {
    expect(ended.filter((one) => one.webhookId === webhookId).map(({ id }) => id)).toEqual(published[i]);
  }
  const { rows } = await db.pool.query(`
    select (select count(*)::int from delivery_queue) queued, (select count(*)::int from attempts) attempts,
      (select count(*)::int from deliveries where state = 'delivered' and attempt_count = 1) delivered`);
  expect(rows).toEqual([{ queued: 0, attempts: ROWS, delivered: ROWS }]);
  // The test is about all of this.
  for (const path of DELIVERY_PATHS) expect(ended.some((one) => one.path === path)).toBe(true);
  expect(Math.min(...Object.values(did))).toBeGreaterThan(0);
});
