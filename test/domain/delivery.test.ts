import {
  type DeliveryState,
  END_STATES,
  type HeldBecause,
  type QueueFacts,
  visibleState,
} from '../../src/domain/delivery';

const waiting: QueueFacts = { timed: false, inFlight: false };
const timed: QueueFacts = { timed: true, inFlight: false };
const inFlight: QueueFacts = { timed: false, inFlight: true };
const retryInFlight: QueueFacts = { timed: true, inFlight: true };

test.each<[QueueFacts | undefined, HeldBecause | undefined, DeliveryState]>([
  [waiting, undefined, 'pending'],
  [waiting, 'paused', 'held'],
  [waiting, 'disabled', 'held'],
  [waiting, 'throttled', 'held'],
  [inFlight, undefined, 'in_progress'],
  [inFlight, 'paused', 'in_progress'],
  [timed, undefined, 'retrying'],
  [timed, 'paused', 'retrying'],
  [retryInFlight, undefined, 'in_progress'],
  [waiting, 'deleted', 'held'],
  [timed, 'deleted', 'held'],
  [inFlight, 'deleted', 'in_progress'],
  [undefined, undefined, 'pending'],
])('a live delivery with queue row %j behind gate %s is %s', (queue, held, state) => {
  expect(visibleState('pending', queue, held)).toBe(state);
});

test('a delivery that has ended is what the record says, whatever else is found', () => {
  for (const end of END_STATES) {
    for (const queue of [undefined, waiting, timed, inFlight]) {
      expect(visibleState(end, queue, 'paused')).toBe(end);
    }
  }
});
