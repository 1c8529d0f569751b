import type { Arrival } from '../endpoints';
import type { Case, Check, Violation } from '../evidence';
import type { Hook } from '../ledger';

/**
 * What was in hand when a webhook was changed may go out for this long: a claim that is 3 s old is looked at again
 * before it is sent, and then it is on its way.
 */
const STALE_MS = 4_500;

/** Each request is signed with a secret that was in force, and goes where its webhook pointed, while it was in service. */
export function checkHooks(c: Case): Violation[] {
  return c.arrivals.flatMap((post): Violation[] => {
    const hook = c.hooksByName.get(post.hook);
    const about = { deliveryId: post.deliveryId, eventId: post.eventId, at: post.at };
    const wrong = (check: Check, what: string): Violation[] => [
      { check, what: `${post.deliveryId} attempt ${post.attempt} (request ${post.n}) ${what}`, ...about },
    ];
    if (!hook) return wrong('old_url', `came to ${post.hook}, which is no webhook`);
    return [
      ...(post.completeAt !== undefined && !isSigned(hook, post)
        ? wrong(
            'signature',
            `verifies with secrets ${post.verifiesWith.join(', ') || 'none'}, none of which was in force`,
          )
        : []),
      ...(movedAwayBefore(hook, post)
        ? wrong('old_url', `came to URL ${post.urlVersion}, which had been replaced`)
        : []),
      ...(isPaused(hook, post) ? wrong('sent_while_paused', 'came while its webhook was paused') : []),
      ...(hook.deleted?.done && post.at > hook.deleted.answeredAt + STALE_MS
        ? wrong('sent_after_delete', 'came after its webhook was deleted')
        : []),
    ];
  });
}

function isSigned({ secrets }: Hook, { verifiesWith, at }: Arrival): boolean {
  return verifiesWith.some((i) => {
    const own = secrets[i]!;
    const ended = secrets.some(
      (later, j) =>
        j > i && later.done && !later.grace && later.askedAt >= own.answeredAt && at > later.answeredAt + STALE_MS,
    );
    return own.askedAt <= at && !ended;
  });
}

function movedAwayBefore({ urls }: Hook, { urlVersion, at }: Arrival): boolean {
  const own = urls[urlVersion]!;
  return urls.some(
    (later, j) => j > urlVersion && later.done && later.askedAt >= own.answeredAt && at > later.answeredAt + STALE_MS,
  );
}

function isPaused({ gates }: Hook, { at }: Arrival): boolean {
  return gates.some(
    (pause) =>
      pause.to === 'paused' &&
      pause.done &&
      at > pause.answeredAt + STALE_MS &&
      !gates.some((later) => later.to === 'active' && later.answeredAt >= pause.askedAt && later.askedAt <= at),
  );
}

/**
 * Deliveries of an ordered webhook arrive in publish order, each one's last request before the next one's first. Those
 * that an operator has touched stand elsewhere in the line.
 */
export function checkOrder(c: Case): Violation[] {
  const violations: Violation[] = [];
  for (const hook of c.ledger.hooks.filter(({ kind }) => kind === 'ordered')) {
    let before: { id: string; lastAt: number; answeredAt: number } | undefined;
    for (const publish of c.ledger.publishes) {
      const event = [...publish.accepted.values()][0];
      if (publish.tenant !== hook.tenant || publish.type !== 'chaos.ordered' || !event) continue;
      const delivery = c.record.deliveries.find((one) => one.eventId === event.id && one.webhookId === hook.id);
      if (!delivery || isTouched(c, delivery.id)) continue;
      const posts = c.arrivalsOf(delivery.id);
      const first = posts[0];
      if (!first) continue;
      if (before && before.answeredAt <= publish.calls[0]!.at && first.at < before.lastAt) {
        const what = `${delivery.id} came ${before.lastAt - first.at} ms before the last request of ${before.id}, which was published before it`;
        violations.push({ check: 'order', what, deliveryId: delivery.id, eventId: event.id, at: first.at });
      }
      before = { id: delivery.id, lastAt: posts.at(-1)!.at, answeredAt: publish.calls.at(-1)!.answeredAt };
    }
  }
  return violations;
}

function isTouched(c: Case, deliveryId: string): boolean {
  const delivery = c.deliveries.get(deliveryId)!;
  return c.wishesOf(delivery).length > 0 || c.cancelsOf(delivery).length > 0;
}
