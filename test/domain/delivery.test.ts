import {
  type DeliveryState,
  END_STATES,
  type HeldBecause,
  type QueueFacts,
  visibleState,
} from '../../src/domain/delivery';

const waiting: QueueFacts = { timed: false, leased: false };
const timed: QueueFacts = { timed: true, leased: false };
const leased: QueueFacts = { timed: false, leased: true };
const leasedForRetry: QueueFacts = { timed: true, leased: true };

test.each<[QueueFacts | undefined, HeldBecause | undefined, DeliveryState]>([
  [waiting, undefined, 'pending'],
  [waiting, 'paused', 'held'],
  [waiting, 'disabled', 'held'],
  [waiting, 'throttled', 'held'],
  [leased, undefined, 'in_progress'],
  [leased, 'paused', 'in_progress'],
  [timed, undefined, 'retrying'],
  [timed, 'paused', 'retrying'],
  [leasedForRetry, undefined, 'in_progress'],
  [undefined, undefined, 'pending'],
])('a live delivery with queue row %j behind gate %s is %s', (queue, held, state) => {
  expect(visibleState('pending', queue, held)).toBe(state);
});

test('one that has ended is what the record says, whatever else is found', () => {
  for (const end of END_STATES) {
    for (const queue of [undefined, waiting, timed, leased]) {
      expect(visibleState(end, queue, 'paused')).toBe(end);
    }
  }
});
