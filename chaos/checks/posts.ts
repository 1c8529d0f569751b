import { wasDone } from '../client';
import type { Arrival } from '../endpoints';
import { type Case, groupBy, type Violation } from '../evidence';
import { type Why, whyRepeated } from './in-hand';
import { match } from './match';

/** A POST that came more than once, and may have. */
export type Explained = { why: Why; deliveryId: string; attempt: number; requests: readonly number[] };

const numbersOf = (posts: readonly Arrival[]) => posts.map(({ n }) => n).join(', ');
const isGood = (status: number | undefined) => status !== undefined && status >= 200 && status < 300;

/** No number of a delivery is POSTed twice while its sender lives. */
export function checkDuplicates(c: Case): { violations: Violation[]; explained: Explained[] } {
  const explained: Explained[] = [];
  const violations: Violation[] = [];
  const complete = c.arrivals.filter(({ completeAt }) => completeAt !== undefined);
  for (const posts of groupBy(complete, ({ deliveryId, attempt }) => `${deliveryId} ${attempt}`).values()) {
    for (const post of posts.slice(0, -1)) {
      const why = whyRepeated(c, post);
      if (why) {
        const { deliveryId, attempt } = post;
        explained.push({ why, deliveryId, attempt, requests: posts.map(({ n }) => n) });
      } else {
        const what = `${post.deliveryId} attempt ${post.attempt} was POSTed ${posts.length} times (requests ${numbersOf(posts)})`;
        violations.push({ check: 'duplicate', what, deliveryId: post.deliveryId, eventId: post.eventId, at: post.at });
      }
    }
  }
  return { violations, explained };
}

/** What an endpoint has taken is not sent again under another number, unless somebody asked. */
export function checkDeliveredTwice(c: Case): Violation[] {
  return c.record.deliveries.flatMap((delivery): Violation[] => {
    const taken = c.arrivalsOf(delivery.id).filter(({ answered }) => isGood(answered?.status));
    return taken.slice(1).flatMap((post, i): Violation[] => {
      const before = taken[i]!;
      if (before.attempt === post.attempt) return [];
      if (c.wishesOf(delivery).some(({ call }) => call.at <= post.at)) return [];
      // The sender had given up waiting, or was stopped: it never heard the answer.
      const heard = c
        .attemptsOf(delivery.id)
        .some(({ number, statusCode }) => number === before.attempt && isGood(statusCode ?? undefined));
      if (!heard) return [];
      const what = `${delivery.id} was taken by attempts ${before.attempt} and ${post.attempt}, and nobody asked`;
      return [{ check: 'delivered_twice', what, deliveryId: delivery.id, eventId: delivery.eventId, at: post.at }];
    });
  });
}

/** The list of attempts and the endpoints' own count agree, one by one. */
export function checkAttempts(c: Case): Violation[] {
  return c.record.deliveries.flatMap(({ id, eventId, state, attemptCount }): Violation[] => {
    const attempts = c.attemptsOf(id);
    const about = { deliveryId: id, eventId };
    const { unmatchedAttempts, unmatchedPosts, otherAnswer } = match(c, id);
    const violations: Violation[] = [];
    for (const { number, statusCode } of unmatchedAttempts) {
      // Without an answer it may never have been a request.
      if (statusCode === null) continue;
      const what = `${id} attempt ${number} was answered ${statusCode}, and no endpoint has seen it`;
      violations.push({ check: 'attempt_without_post', what, ...about });
    }
    for (const [attempt, post] of otherAnswer) {
      const what = `${id} attempt ${attempt.number} is recorded with ${attempt.statusCode}, the endpoint answered ${post.answered?.status}`;
      violations.push({ check: 'attempt_without_post', what, ...about });
    }
    for (const post of unmatchedPosts) {
      if (post.completeAt === undefined && !post.answered) continue; // cut before all of it was there
      if (whyRepeated(c, post)) continue;
      const what = `${id} was POSTed as attempt ${post.attempt} (request ${post.n}, ${post.answered?.status ?? 'no answer'}), which is not in its list`;
      violations.push({ check: 'unrecorded_post', what, ...about, at: post.at });
    }
    if (state !== 'pending' && attemptCount !== attempts.length) {
      const what = `${id} counts ${attemptCount} attempts, its list has ${attempts.length}`;
      violations.push({ check: 'count', what, ...about });
    }
    return violations;
  });
}

/** From the record's word that an attempt has begun to its first byte at the endpoint, at most. */
const BEGUN_MS = 3_500;
/** From a begin to its arrival, while nothing is wrong. */
const ON_ITS_WAY_MS = 1_500;

/** Once a cancel was answered no request begins. */
export function checkCancels(c: Case): Violation[] {
  return c.record.deliveries.flatMap((delivery): Violation[] => {
    const cancels = c.cancelsOf(delivery).filter(({ call }) => wasDone(call));
    return cancels.flatMap(({ call }): Violation[] => {
      const late = c.arrivalsOf(delivery.id).find(({ at, attempt }) => {
        if (at <= call.answeredAt + ON_ITS_WAY_MS) return false;
        const wished = c.wishesOf(delivery).some(({ call: wish }) => wish.answeredAt >= call.at && wish.at <= at);
        if (wished) return false;
        const begun = c.attemptsOf(delivery.id).find(({ number }) => number === attempt)?.startedAt ?? at;
        return !(begun <= call.answeredAt && at - begun <= BEGUN_MS);
      });
      if (!late) return [];
      const what = `${delivery.id} was POSTed ${late.at - call.answeredAt} ms after its cancel was answered ${call.status}`;
      const { id: deliveryId, eventId } = delivery;
      return [{ check: 'sent_after_cancel', what, deliveryId, eventId, at: late.at }];
    });
  });
}
