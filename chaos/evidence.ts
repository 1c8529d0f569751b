import { wasDone } from './client';
import type { Arrival } from './endpoints';
import type { Done } from './faults';
import type { Deed, Hook, Ledger } from './ledger';
import type { Recorded, RecordedAttempt, RecordedDelivery } from './record';
import type { Life } from './roles';

/** What is wrong, by the check that found it. */
export type Violation = { check: Check; what: string; deliveryId?: string; eventId?: string; at?: number };

/** `lost` and `stuck` are counted by themselves; everything else that has no explanation is `unexplained`. */
export type Check =
  | 'lost'
  | 'stuck'
  | 'published_twice'
  | 'refused'
  | 'key_held'
  | 'bad_answer'
  | 'fate'
  | 'order'
  | 'signature'
  | 'old_url'
  | 'sent_while_paused'
  | 'sent_after_delete'
  | 'sent_after_cancel'
  | 'duplicate'
  | 'delivered_twice'
  | 'unrecorded_post'
  | 'attempt_without_post'
  | 'count'
  | 'list'
  | 'audit'
  | 'idle_in_transaction'
  | 'role_ended';

/** Everything that the checks look at: what was asked, what arrived, what is recorded, what was done to the site. */
export type Evidence = {
  ledger: Ledger;
  arrivals: readonly Arrival[];
  record: Recorded;
  faults: readonly Done[];
  lives: readonly Life[];
  /** Ids of workflows that still run. */
  openWorkflows: readonly string[];
  keyIds: readonly string[];
  tenantIds: readonly string[];
};

/** The same, found by what it belongs to. */
export type Case = Evidence & {
  hooksByName: Map<string, Hook>;
  hooksById: Map<string, Hook>;
  deliveries: Map<string, RecordedDelivery>;
  arrivalsOf(deliveryId: string): Arrival[];
  attemptsOf(deliveryId: string): RecordedAttempt[];
  lifeOf(source: string): Life | undefined;
  /** Wishes to send a delivery (again), whether they were certainly done or may have been. Oldest first. */
  wishesOf(delivery: RecordedDelivery): Deed[];
  /** Of an operator, done or perhaps done. */
  cancelsOf(delivery: RecordedDelivery): Deed[];
};

export function openCase(evidence: Evidence): Case {
  const { ledger, arrivals, record, lives } = evidence;
  const byDelivery = groupBy(arrivals, ({ deliveryId }) => deliveryId);
  const attempts = groupBy(record.attempts, ({ deliveryId }) => deliveryId);
  const deeds = groupBy(
    ledger.deeds.filter(({ call }) => wasDone(call) || mayBeDone(call.status)),
    ({ target }) => target,
  );
  const lifeBySource = new Map(lives.map((life) => [life.address, life]));
  const deedsOn = (target: string, actions: readonly string[]) =>
    (deeds.get(target) ?? []).filter(({ action }) => actions.includes(action));
  return {
    ...evidence,
    hooksByName: new Map(ledger.hooks.map((hook) => [hook.name, hook])),
    hooksById: new Map(ledger.hooks.map((hook) => [hook.id, hook])),
    deliveries: new Map(record.deliveries.map((delivery) => [delivery.id, delivery])),
    arrivalsOf: (id) => byDelivery.get(id) ?? [],
    attemptsOf: (id) => attempts.get(id) ?? [],
    lifeOf: (source) => lifeBySource.get(source),
    wishesOf: (delivery) =>
      [
        ...deedsOn(delivery.id, ['delivery.retry']),
        ...deedsOn(delivery.eventId, ['event.replay']),
        ...deedsOn(delivery.webhookId, ['replay.create']),
      ].sort((a, b) => a.call.at - b.call.at),
    cancelsOf: (delivery) => [
      ...deedsOn(delivery.id, ['delivery.cancel']),
      ...deedsOn(delivery.webhookId, ['webhook.skip']).filter(
        ({ call }) => !wasDone(call) || call.body?.skipped === delivery.id,
      ),
    ],
  };
}

const mayBeDone = (status: number | undefined) => status === undefined || status >= 500;

export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
