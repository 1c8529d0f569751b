import { setTimeout as sleep } from 'node:timers/promises';
import { type Call, type Client, untilAnswered, wasDone } from './client';
import { HOOKS, type HookKind, SHARED_TYPE, SHARED_WEIGHT, TENANTS, typeOf } from './hooks';
import type { Ledger, Publish } from './ledger';
import type { Site } from './site';

export type Producing = {
  site: Pick<Site, 'callers'>;
  client: Client;
  ledger: Ledger;
  random: () => number;
  /** Events a second, of all tenants together. */
  rate: number;
  /** New events are published while this says so. */
  storming: () => boolean;
  /** Requests that are repeated until they have an answer are given up when this says no. */
  repeating: () => boolean;
};

/** Requests without an answer yet: a client has so much patience. */
const MAX_OPEN = 150;
const BATCH = 5;
/** Events of an ordered webhook come one after the other, this far apart. */
const ORDERED_EVERY_MS = 800;

/** Publishes until the storm is over, and repeats what has no answer. Resolves when all have one or were given up. */
export async function produce(producing: Producing): Promise<void> {
  const open = new Set<Promise<unknown>>();
  const { random, rate, storming } = producing;
  const lines = TENANTS.flatMap((kinds, tenant) =>
    kinds.includes('ordered') ? [publishInOrder(producing, tenant)] : [],
  );
  while (storming()) {
    if (open.size < MAX_OPEN) {
      const tenant = Math.floor(random() * TENANTS.length);
      const request = publish(producing, tenant, drawType(TENANTS[tenant]!, random), drawFlavour(random));
      open.add(request);
      void request.finally(() => open.delete(request));
    }
    await sleep((500 + random() * 1_000) / rate);
  }
  await Promise.all([...open, ...lines]);
}

async function publishInOrder(producing: Producing, tenant: number): Promise<void> {
  while (producing.storming()) {
    await publish(producing, tenant, typeOf('ordered'), producing.random() < 0.5 ? 'own_id' : 'key');
    await sleep(ORDERED_EVERY_MS);
  }
}

async function publish(
  { site, client, ledger, random, repeating }: Producing,
  tenant: number,
  type: string,
  flavour: Publish['flavour'],
): Promise<void> {
  const n = ledger.publishes.length;
  const marks = flavour === 'batch' ? Array.from({ length: BATCH }, (_, i) => `m${n}.${i}`) : [`m${n}`];
  const record: Publish = { ...{ n, tenant, marks, type, flavour, calls: [] }, accepted: new Map() };
  ledger.publishes.push(record);
  const caller = site.callers[tenant]!;
  const events = marks.map((mark) => ({
    type,
    data: { mark, note: 'x'.repeat(Math.floor(random() * 600)) },
    ...(flavour === 'own_id' && { id: `own-${mark}` }),
  }));
  const headers: Record<string, string> =
    flavour === 'key' || flavour === 'batch' ? { 'idempotency-key': `key-${n}` } : {};
  const start = Math.floor(random() * 2);
  // The other api, the next time: as behind a balancer.
  const ask = async (round: number) => {
    const call =
      flavour === 'batch'
        ? await client.call(caller, start + round, 'POST', '/events/batch', { events }, headers)
        : await client.call(caller, start + round, 'POST', '/events', events[0], headers);
    record.calls.push(call);
    return call;
  };
  // Without an id or key, a repetition would be another event.
  const goOn = () => flavour !== 'plain' && repeating();
  const call = await untilAnswered(ask, { goOn, waitMs: () => 300 + random() * 1_500 });
  note(record, call);
}

function note(record: Publish, call: Call): void {
  if (!wasDone(call)) return;
  const results: { id?: string; deliveries?: number }[] =
    record.flavour === 'batch' ? ((call.body?.data ?? []) as []) : [call.body];
  for (const [i, mark] of record.marks.entries()) {
    const { id, deliveries } = results[i] ?? {};
    if (id !== undefined && deliveries !== undefined) record.accepted.set(mark, { id, deliveries });
  }
}

function drawType(kinds: readonly HookKind[], random: () => number): string {
  const total = kinds.reduce((sum, kind) => sum + HOOKS[kind].weight, SHARED_WEIGHT);
  let left = random() * total;
  for (const kind of kinds) {
    left -= HOOKS[kind].weight;
    if (left < 0) return typeOf(kind);
  }
  return SHARED_TYPE;
}

function drawFlavour(random: () => number): Publish['flavour'] {
  const choice = random();
  if (choice < 0.4) return 'plain';
  if (choice < 0.68) return 'own_id';
  return choice < 0.95 ? 'key' : 'batch';
}
