import { type Call, isLater, isUnknown, wasDone } from '../client';
import { type Case, groupBy, type Violation } from '../evidence';
import { MAX_ATTEMPTS } from '../hooks';
import type { RecordedDelivery } from '../record';

/** A key whose first request was cut short is free again after this long, unless its api died with it. */
const KEY_HELD_MS = 30_000;
/** The key of a request that died with its api is held for so long at most. */
const KEY_OF_THE_DEAD_MS = 65_000;

/** Every event that was answered 202 is there once, with every delivery that the answer counted. */
export function checkAccepted(c: Case): Violation[] {
  const violations: Violation[] = [];
  const byMark = groupBy(c.record.events, ({ mark }) => mark);
  const deliveries = groupBy(c.record.deliveries, ({ eventId }) => eventId);
  for (const { n, marks, flavour, calls, accepted } of c.ledger.publishes) {
    const last = calls.at(-1);
    if (last && !wasDone(last) && !isUnknown(last) && !isLater(last)) {
      violations.push({ check: 'refused', what: `publish ${n} was answered ${last.status}`, at: last.at });
    }
    if (flavour !== 'plain' && (!last || isUnknown(last) || isLater(last))) {
      const answers = calls.map(({ status, error }) => status ?? error).join(', ');
      violations.push({ check: 'stuck', what: `publish ${n} (${flavour}) had no answer in the end: ${answers}` });
    }
    const heldMs = heldBackMs(calls);
    if (heldMs > KEY_HELD_MS && !someApiDied(c, calls.at(-1)!.answeredAt)) {
      violations.push({ check: 'key_held', what: `publish ${n} was answered 409 for ${heldMs} ms`, at: calls[0]!.at });
    }
    for (const mark of marks) {
      const stored = byMark.get(mark) ?? [];
      const answer = accepted.get(mark);
      if (stored.length > 1) {
        const ids = stored.map(({ id }) => id).join(' and ');
        violations.push({
          check: 'published_twice',
          what: `${mark} (${flavour}) became ${ids}`,
          eventId: stored[0]!.id,
        });
      }
      if (!answer) continue;
      if (!stored.some(({ id }) => id === answer.id)) {
        violations.push({
          check: 'lost',
          what: `${mark} was accepted as ${answer.id}, which is gone`,
          eventId: answer.id,
        });
        continue;
      }
      const there = (deliveries.get(answer.id) ?? []).length;
      if (there < answer.deliveries) {
        const what = `${answer.id} was accepted with ${answer.deliveries} deliveries, ${there} are there`;
        violations.push({ check: 'lost', what, eventId: answer.id });
      }
    }
  }
  return violations;
}

/** The longest time in which a request was answered 409 whenever it was repeated. */
function heldBackMs(calls: readonly Call[]): number {
  let longestMs = 0;
  let since: number | undefined;
  for (const { status, at, answeredAt } of calls) {
    since = status === 409 ? (since ?? at) : undefined;
    if (since !== undefined) longestMs = Math.max(longestMs, answeredAt - since);
  }
  return longestMs;
}

const someApiDied = (c: Case, before: number): boolean =>
  c.lives.some(
    ({ role, ended }) => role.startsWith('api') && ended && ended.at < before && ended.at > before - KEY_OF_THE_DEAD_MS,
  );

/** Every delivery has ended in a way that something explains, or is held by a webhook that was left paused. */
export function checkFates(c: Case): Violation[] {
  return c.record.deliveries.flatMap((delivery): Violation[] => {
    const { id, eventId, state } = delivery;
    if (state === 'pending') {
      if (c.hooksById.get(delivery.webhookId)?.parked) return [];
      return [{ check: 'stuck', what: `${id} has not ended: ${delivery.queued}`, deliveryId: id, eventId }];
    }
    const problem = fateProblem(c, delivery);
    const check = state === 'delivered' ? 'lost' : 'fate';
    return problem ? [{ check, what: `${id} is ${state}, ${problem}`, deliveryId: id, eventId }] : [];
  });
}

function fateProblem(c: Case, delivery: RecordedDelivery): string | undefined {
  const { id, webhookId, state, failedBecause, attemptCount } = delivery;
  const hook = c.hooksById.get(webhookId);
  const answered = (from: number, to: number) =>
    c.arrivalsOf(id).some((post) => post.answered && post.answered.status >= from && post.answered.status <= to);
  switch (state) {
    case 'delivered':
      return answered(200, 299) ? undefined : 'and no endpoint has answered it with 2xx';
    case 'failed':
      if (failedBecause === 'exhausted' && attemptCount >= MAX_ATTEMPTS) return undefined;
      if (failedBecause === 'gone' && answered(410, 410)) return undefined;
      return `because of ${failedBecause} after ${attemptCount} attempts`;
    case 'cancelled':
      return hook?.deleted || c.cancelsOf(delivery).length > 0 ? undefined : 'and nobody has cancelled it';
    default:
      return 'which is no state';
  }
}
