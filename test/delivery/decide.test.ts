import type { AttemptContext } from '../../src/db/queue/load-attempt';
import { decide } from '../../src/delivery/decide';

const HOUR = 3_600_000;

/** A delivery with one attempt that is recorded, and an hour to wait for the next. */
function context(queue: Partial<NonNullable<AttemptContext['queue']>>): AttemptContext {
  return {
    state: 'pending',
    queue: {
      ...{ timed: true, waits: true, remainingMs: HOUR, attempt: 1, step: 1, elapsedMs: 0, trigger: 'schedule' },
      ...{ heldBy: 'nobody', inQueue: null, cancelAsked: false, movedAway: false, moves: 0 },
      ...queue,
    },
    recorded: { attemptId: 'a', outcome: 'retry', statusCode: 500, errorCode: null },
  } as unknown as AttemptContext;
}
const ask = (queue: Parameters<typeof context>[0], number = 1) => {
  const decision = decide(context(queue), { deliveryId: 'd', number, cause: 'claimed' });
  return decision.do === 'answer' ? decision.result : decision;
};
const last = { number: 1, statusCode: 500 };

test('an attempt that is recorded is answered with the wait after it', () => {
  expect(ask({})).toEqual({ kind: 'retry', waitMs: HOUR, kept: false, attempt: 1, last });
});

/** Else the wait of an hour would end at once, and an attempt of the schedule be made an hour early. */
test('where an operator has asked for the next attempt meanwhile, the workflow leaves it to whoever claims it', () => {
  expect(ask({ timed: false, trigger: 'manual', inQueue: 'free' })).toEqual({ kind: 'requeued', last });
});

test('where that is claimed for this workflow, it makes it, and the wait goes on after it', () => {
  const claimed = { timed: false, trigger: 'manual', inQueue: 'claimed' } as const;
  expect(ask(claimed)).toMatchObject({ kind: 'retry', attempt: 1, claimed: true, last });
});

test('where it is in flight, the workflow asks again', () => {
  const result = ask({ timed: false, trigger: 'manual', heldBy: 'other' });
  expect(result).toEqual({ kind: 'retry', waitMs: 0, kept: false, attempt: 1, last });
});
