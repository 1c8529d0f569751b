import type { Arrival } from '../endpoints';
import type { Case } from '../evidence';
import type { RecordedAttempt } from '../record';

/** A delivery's list of attempts beside the requests that its endpoint has seen. */
export type Matched = {
  unmatchedAttempts: RecordedAttempt[];
  unmatchedPosts: Arrival[];
  /** Of one number, with answers that differ. */
  otherAnswer: [RecordedAttempt, Arrival][];
};

/** Each attempt with the request of its number that is nearest in time; what is left, by time alone. */
export function match(c: Case, deliveryId: string): Matched {
  const attempts = c.attemptsOf(deliveryId);
  const posts = new Set(c.arrivalsOf(deliveryId));
  const left = new Set(attempts);
  const otherAnswer: [RecordedAttempt, Arrival][] = [];
  const answerOf = (post: Arrival) => post.answered?.status ?? post.aimed;
  const take = (attempt: RecordedAttempt, fits: (post: Arrival) => boolean) => {
    const distance = (post: Arrival) => Math.abs(post.at - attempt.startedAt);
    const nearest = [...posts].filter(fits).sort((a, b) => distance(a) - distance(b))[0];
    if (!nearest) return;
    posts.delete(nearest);
    left.delete(attempt);
    if (attempt.statusCode !== null && attempt.statusCode !== answerOf(nearest)) otherAnswer.push([attempt, nearest]);
  };
  const sameAnswer = (attempt: RecordedAttempt, post: Arrival) =>
    attempt.statusCode === null || attempt.statusCode === answerOf(post);
  for (const attempt of attempts) take(attempt, (post) => post.attempt === attempt.number && sameAnswer(attempt, post));
  // An attempt that found its number taken is listed under the next free one.
  for (const attempt of [...left]) {
    if (attempt.statusCode !== null) take(attempt, (post) => sameAnswer(attempt, post));
  }
  for (const attempt of [...left]) take(attempt, (post) => post.attempt === attempt.number);
  return { unmatchedAttempts: [...left], unmatchedPosts: [...posts], otherAnswer };
}
