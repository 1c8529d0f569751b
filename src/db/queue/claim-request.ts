import type { TenantAllowance } from '../../concurrency/tenant-slots';
import type { DeliveryMode, DeliveryPath } from '../../domain/delivery-mode';
import { PRIORITIES } from '../../domain/priorities';
import { type ClaimBudget, takenByWebhook } from './claim-budget';
import type { Pass } from './claim-cursors';

export type ClaimRequest = Pass & {
  /** Rows this process may hold of one webhook, at most; the webhook's own caps count as well. */
  perWebhook: number;
  /** What of it is taken, by webhook. */
  budget: ClaimBudget;
  /** What of the limit is for whom. */
  allowance: TenantAllowance;
  leaseMs: number;
  /** Under which id this process holds what it takes. */
  holder: number;
  claimant: Claimant;
};

/** For which path the rows are claimed, and of which webhooks: those in one of these modes. */
export type Claimant = {
  path: DeliveryPath;
  modes: readonly DeliveryMode[];
  /** The mode of webhooks that have none of their own. */
  defaultMode: DeliveryMode;
};

/** The parameters of the claim (./claim.sql.ts). */
export function claimParameters({ claimant, ...request }: ClaimRequest) {
  const taken = takenByWebhook(request.budget);
  const cursors = request.priorities.flatMap((priority) =>
    [...request.cursors[priority].webhooks].map(([tenant, webhook]) => ({ priority, tenant, webhook })),
  );
  return {
    priorities: request.priorities.map((priority) => PRIORITIES[priority]),
    tenant_cursors: request.priorities.map((priority) => request.cursors[priority].tenant),
    scan: request.scan,
    webhook_cursor_priorities: cursors.map(({ priority }) => PRIORITIES[priority]),
    webhook_cursor_tenants: cursors.map(({ tenant }) => tenant),
    webhook_cursors: cursors.map(({ webhook }) => webhook),
    budget_webhooks: [...taken.keys()],
    budget_taken: [...taken.values()],
    per_webhook: request.perWebhook,
    default_mode: claimant.defaultMode,
    modes: claimant.modes,
    row_limit: request.limit,
    free: request.allowance.free,
    level: request.allowance.level,
    holding_tenants: [...request.allowance.held.keys()],
    holding_rows: [...request.allowance.held.values()],
    lease_ms: request.leaseMs,
    holder: request.holder,
    is_express: claimant.path === 'express',
  };
}
