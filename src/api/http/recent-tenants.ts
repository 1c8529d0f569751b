/** A tenant counts as active for so long after its last request. */
const RECENT_MS = 1_000;

/**
 * The tenants that have made requests recently. Shares of the api depend on it: an only tenant may use all of it, one
 * among several leaves most to the others.
 */
export type RecentTenants = {
  /** Called with the tenant of each request. */
  saw(tenantId: string): void;
  /** Whether another tenant has made a request within the last second. */
  anyBut(tenantId: string): boolean;
};

/** @param now the time in milliseconds; tests pass their own clock */
export function createRecentTenants(now = () => performance.now()): RecentTenants {
  let last = { tenantId: '', atMs: Number.NEGATIVE_INFINITY };
  /** The last request of any other tenant. */
  let before = last;
  const isRecent = ({ atMs }: { atMs: number }) => now() - atMs < RECENT_MS;

  return {
    saw(tenantId) {
      if (tenantId !== last.tenantId) before = last;
      last = { tenantId, atMs: now() };
    },
    anyBut: (tenantId) => isRecent(last.tenantId === tenantId ? before : last),
  };
}
