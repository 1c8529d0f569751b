import fc from 'fast-check';
import { CLAIM_FRESH_MS } from '../../../src/domain/limits';
import { ClaimLedger } from '../../../src/relay/express/claim-ledger';

/** A claim of one delivery; `ended` counts how often its hold was ended. */
function claimOf(deliveryId: string, { attempt = 0, holder = 1, askedMs = 0 } = {}) {
  const claim = {
    delivery: { deliveryId, tenantId: 'tenant', holder, queue: { attempt } },
    hold: { end: () => void claim.ended++ },
    askedMs,
    ended: 0,
  };
  return claim;
}

let now: number;
/** Holders that were judged dead. */
let dead: Set<number>;
let ledger: ClaimLedger<ReturnType<typeof claimOf>['delivery']>;
beforeEach(() => {
  now = 0;
  dead = new Set();
  ledger = new ClaimLedger({ capacity: 10, isHeld: (holder) => !dead.has(holder), nowMs: () => now });
});

test('a claim holds a slot until it is released, once', () => {
  const claim = claimOf('a');
  expect(ledger.take(claim)).toBe('new');
  expect(ledger.free).toBe(9);
  expect(ledger.release('a', 1)).toBeUndefined();
  expect(ledger.release('a', 1)).toBeUndefined();
  expect([ledger.free, claim.ended]).toEqual([10, 1]);
});

test.each([
  ['its attempt was recorded, and an operator requested another', 1, 1, false],
  ['it was released unsent', 0, 0, false],
  ['this process was judged dead while it made the attempt', 0, 1, true],
])('a delivery that is claimed twice because %s', (_, attempt, attemptsMade, alreadyMade) => {
  const first = claimOf('a');
  const second = claimOf('a', { attempt, holder: 2 });
  ledger.take(first);
  expect(ledger.take(second)).toBe('reclaimed');
  expect(ledger.free).toBe(9);
  expect(ledger.release('a', attemptsMade)).toEqual({ delivery: second.delivery, alreadyMade });
  expect([ledger.free, first.ended, second.ended]).toEqual([9, 1, 0]);
  ledger.release('a', 0);
  expect([ledger.free, second.ended]).toEqual([10, 1]);
});

test('of two later claims the last one counts, and the hold of the other is ended', () => {
  const [first, second, third] = [claimOf('a'), claimOf('a', { holder: 2 }), claimOf('a', { holder: 3 })];
  for (const claim of [first, second, third]) ledger.take(claim);
  expect(ledger.release('a', 0)?.delivery.holder).toBe(3);
  expect([first.ended, second.ended, third.ended]).toEqual([1, 1, 0]);
});

test('a claim is ours while its holder is, and fresh for as long as a cancel waits for its attempt', () => {
  const { delivery, ...claim } = claimOf('a');
  expect(ledger.isOurs(delivery)).toBe(false);
  ledger.take({ delivery, ...claim });
  now = CLAIM_FRESH_MS;
  expect([ledger.isOurs(delivery), ledger.isFresh(delivery)]).toEqual([true, true]);
  now += 1;
  expect([ledger.isOurs(delivery), ledger.isFresh(delivery)]).toEqual([true, false]);
  dead.add(1);
  expect(ledger.isOurs(delivery)).toBe(false);
});

type Step = { deliveryId: string; take: boolean; attempt: number };
const step: fc.Arbitrary<Step> = fc.record({
  deliveryId: fc.constantFrom('a', 'b', 'c'),
  take: fc.boolean(),
  attempt: fc.nat(2),
});

test('whatever is taken and released: no delivery has two senders, and every hold is ended once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const ledger = new ClaimLedger<ReturnType<typeof claimOf>['delivery']>({ capacity: 10, isHeld: () => true });
      const claims: ReturnType<typeof claimOf>[] = [];
      const sending = new Set<string>();
      const send = (deliveryId: string) => {
        expect(sending).not.toContain(deliveryId);
        sending.add(deliveryId);
      };
      const release = (deliveryId: string, attemptsMade: number) => {
        sending.delete(deliveryId);
        if (ledger.release(deliveryId, attemptsMade)) send(deliveryId);
      };
      for (const { deliveryId, take, attempt } of steps) {
        if (take) {
          const claim = claimOf(deliveryId, { attempt });
          claims.push(claim);
          if (ledger.take(claim) === 'new') send(deliveryId);
        } else release(deliveryId, attempt);
        expect(10 - ledger.free).toBe(sending.size);
      }
      while (sending.size > 0) release([...sending][0]!, 0);
      expect(claims.map(({ ended }) => ended)).toEqual(claims.map(() => 1));
      expect(ledger.free).toBe(10);
    }),
  );
});
