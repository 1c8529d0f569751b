/** What a claim may take of each webhook, besides the webhook's own cap. */
export type ClaimBudget = {
  /** Deliveries of the webhook that this process holds: its cap is smaller by as many. */
  occupied: ReadonlyMap<string, number>;
  /** Deliveries that may be claimed beyond the cap: they wait in this process until an attempt ends. */
  prefetch: ReadonlyMap<string, number>;
  /** Webhooks of which nothing is claimed. */
  skip: ReadonlySet<string>;
};

/** Of a process that holds nothing. */
export const EMPTY_BUDGET: ClaimBudget = { occupied: new Map(), prefetch: new Map(), skip: new Set() };

/** More than any cap: a webhook that is said to hold so many gets nothing. */
const ABOVE_EVERY_CAP = 1_000_000;

/** How many of its cap's places a webhook has taken; below zero if more may be claimed of it than its cap. */
function takenOf(webhookId: string, { occupied, prefetch, skip }: ClaimBudget): number {
  if (skip.has(webhookId)) return ABOVE_EVERY_CAP;
  return (occupied.get(webhookId) ?? 0) - (prefetch.get(webhookId) ?? 0);
}

/** What the statement subtracts from the cap of each webhook that the budget names. */
export function takenByWebhook(budget: ClaimBudget): Map<string, number> {
  const named = new Set([...budget.occupied.keys(), ...budget.prefetch.keys(), ...budget.skip]);
  return new Map(Array.from(named, (webhookId) => [webhookId, takenOf(webhookId, budget)]));
}

/** How many deliveries a claim may take of a webhook with this cap; none if it is not above zero. */
export const allowanceOf = (webhookId: string, cap: number, budget: ClaimBudget): number =>
  cap - takenOf(webhookId, budget);
