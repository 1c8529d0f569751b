import { isUnknown, wasDone } from '../client';
import { type Case, groupBy, type Violation } from '../evidence';
import type { Deed } from '../ledger';

type Expected = { done: number; unknown: number };

/**
 * The audit log has one line for each thing that was answered as done, none for what was refused, and none or one for
 * what has no answer.
 */
export function checkAudit(c: Case): Violation[] {
  const violations: Violation[] = [];
  for (const [tenant, tenantId] of c.tenantIds.entries()) {
    const deeds = c.ledger.deeds.filter((deed) => deed.tenant === tenant);
    const expected = new Map<string, Expected>();
    /** Of deeds whose target only the answer would have told, by action. */
    const anywhere = new Map<string, number>();
    for (const deed of deeds) {
      const { action, target } = asLogged(deed);
      if (target === undefined) {
        if (isUnknown(deed.call)) anywhere.set(action, (anywhere.get(action) ?? 0) + 1);
        continue;
      }
      const key = `${action} ${target}`;
      const so = expected.get(key) ?? { done: 0, unknown: 0 };
      if (wasDone(deed.call)) so.done += 1;
      else if (isUnknown(deed.call)) so.unknown += 1;
      expected.set(key, so);
    }
    const lines = groupBy(
      c.record.audit.filter((line) => line.tenantId === tenantId && line.actor === c.keyIds[tenant]),
      ({ action, target }) => `${action} ${target}`,
    );
    for (const key of new Set([...expected.keys(), ...lines.keys()])) {
      const [action = '', target = ''] = key.split(' ');
      const { done, unknown } = expected.get(key) ?? { done: 0, unknown: 0 };
      const found = lines.get(key)?.length ?? 0;
      const least = mayBeDoneAlready(action) ? Math.min(done, 1) : done;
      const surplus = found - done - unknown;
      const room = anywhere.get(action) ?? 0;
      if (surplus > 0 && surplus <= room) anywhere.set(action, room - surplus);
      else if (surplus > 0 || (found < least && !wasOver(c, action, target))) {
        const what = `${key}: ${done} done and ${unknown} without an answer, ${found} lines in the audit log`;
        violations.push({ check: 'audit', what, ...(target.startsWith('del_') && { deliveryId: target }) });
      }
    }
  }
  return violations;
}

/** Action and target as the log has them; no target where only an answer tells it. */
function asLogged({ action, target, call }: Deed): { action: string; target: string | undefined } {
  switch (action) {
    case 'webhook.skip':
      return { action: 'delivery.cancel', target: call.body?.skipped };
    case 'replay.create':
      return { action, target: wasDone(call) ? call.body.id : undefined };
    case 'event.replay':
      // No webhook wants it: nothing was done, and 202 says so by an empty list.
      return { action, target: wasDone(call) && call.body.data.length === 0 ? undefined : target };
    default:
      return { action, target };
  }
}

/** Asked for twice, because the first had no answer, it is done once. */
const mayBeDoneAlready = (action: string) => action === 'delivery.cancel' || action === 'webhook.delete';

/** A cancel of what its webhook's end has cancelled is a 202 that does nothing. */
function wasOver(c: Case, action: string, target: string): boolean {
  const delivery = c.deliveries.get(target);
  return action === 'delivery.cancel' && c.hooksById.get(delivery?.webhookId ?? '')?.deleted !== undefined;
}
