import type { Arrival } from '../endpoints';
import type { Case } from '../evidence';
import type { Done } from '../faults';
import { match } from './match';

/** Why a POST may be made again: its sender died with it in hand, or seemed to; or its connection was closing. */
export type Why = 'process_died' | 'stopped_too_long' | 'stopped_and_cut_off' | 'connection_closed';

/** Around the moment of a death: what was sent before it may be read by the endpoint later, which waits for a processor. */
const SLACK_MS = 1_000;
/** From an answer to its record, while nothing is wrong but a machine that is busy with other things as well. */
const RECORD_MS = 5_000;
/** After Postgres was away: connections are made anew, and what waited is written down. */
const CATCH_UP_MS = 6_000;
/** A worker that does not beat is taken for dead after this long while its session stands, less a beat and a round. */
const DEAD_AFTER_MS = 55_000;
/** And after this long once its session is gone. */
const CUT_OFF_AFTER_MS = 4_000;

/**
 * Why this POST may have been repeated under the same number. A process that died explains what it had in hand at that
 * moment and nothing else: what had not arrived, was not answered, or was not written down yet.
 */
export function whyRepeated(c: Case, post: Arrival): Why | undefined {
  if (wasSentAgain(c, post)) return 'connection_closed';
  const life = c.lifeOf(post.source);
  const isListed = () => !match(c, post.deliveryId).unmatchedPosts.includes(post);
  if (life?.ended && hadInHand(c, post, life.ended.at) && !isListed()) return 'process_died';
  for (const { from, until = Number.POSITIVE_INFINITY } of life?.stops ?? []) {
    if (!hadInHand(c, post, from)) continue;
    if (until - from >= DEAD_AFTER_MS) return 'stopped_too_long';
    const cutOff = c.faults.some((fault) => endsSessions(fault, life!.role) && overlap(fault, from, until) > 0);
    if (until - from >= CUT_OFF_AFTER_MS && cutOff) return 'stopped_and_cut_off';
  }
  return undefined;
}

/**
 * Whether the endpoint closed the connection without a byte of an answer, and its sender sent the request again, at once and
 * once: on a connection that had served before it takes that for one that was closing (decision 40).
 */
function wasSentAgain(c: Case, post: Arrival): boolean {
  const { closedAt, attempt, source } = post;
  if (closedAt === undefined || post.answered) return false;
  const [first, again, ...more] = c
    .arrivalsOf(post.deliveryId)
    .filter((one) => one.attempt === attempt && one.source === source);
  return first === post && again !== undefined && more.length === 0 && Math.abs(again.at - closedAt) <= SLACK_MS;
}

/** Whether the sender could not have recorded the outcome by then. */
function hadInHand(c: Case, post: Arrival, at: number): boolean {
  if (post.at > at + SLACK_MS) return false;
  const overAt = post.answered?.at ?? post.closedAt;
  if (overAt === undefined || overAt >= at - RECORD_MS) return true;
  const life = c.lifeOf(post.source);
  const away = (fault: Done) =>
    fault.target === 'postgres' || fault.target === '*>postgres' || fault.target === `${life?.role}>postgres`;
  const asleep = life?.stops.some(({ from, until }) => from <= overAt + RECORD_MS && (until ?? at) + RECORD_MS >= at);
  if (asleep) return true;
  return c.faults.some(
    (fault) =>
      away(fault) && fault.from <= overAt + RECORD_MS && (fault.until ?? Number.POSITIVE_INFINITY) + CATCH_UP_MS >= at,
  );
}

/** Sessions of this role are gone after it, whatever the role itself does. */
function endsSessions(fault: Done, role: string): boolean {
  if (fault.target === 'postgres') return fault.kind !== 'stop';
  return fault.kind === 'cut' && (fault.target === `${role}>postgres` || fault.target === '*>postgres');
}

function overlap({ from, until = Number.POSITIVE_INFINITY }: Done, begin: number, end: number): number {
  return Math.min(until, end) - Math.max(from, begin);
}
