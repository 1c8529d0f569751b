import { allowanceOf, EMPTY_BUDGET, takenByWebhook } from '../../src/db/queue/claim-budget';

const one = (count: number) => new Map([['a', count]]);

test.each([
  ['a process that holds nothing', {}, 8],
  ['deliveries that are held', { occupied: one(3) }, 5],
  ['more that are held than the cap', { occupied: one(9) }, -1],
  ['deliveries that may wait', { prefetch: one(4) }, 12],
  ['deliveries that are held, and more that may wait', { occupied: one(8), prefetch: one(4) }, 4],
])('%s: a webhook with a cap of 8 allows the claim what is left of it', (_, part, allowance) => {
  const budget = { ...EMPTY_BUDGET, ...part };
  expect(allowanceOf('a', 8, budget)).toBe(allowance);
  // As the statement computes it.
  expect(8 - (takenByWebhook(budget).get('a') ?? 0)).toBe(allowance);
});

test('a webhook to skip allows nothing, whatever its cap, and however many may wait', () => {
  const budget = { ...EMPTY_BUDGET, prefetch: one(200), skip: new Set(['a', 'b']) };
  for (const webhookId of ['a', 'b']) {
    expect(allowanceOf(webhookId, 100_000, budget)).toBeLessThan(0);
    expect(100_000 - takenByWebhook(budget).get(webhookId)!).toBeLessThan(0);
  }
});
