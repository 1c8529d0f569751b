/** For so long after its last request a tenant counts as one that is there. */
const RECENT_MS = 1_000;

/**
 * Who has asked for something of late. What is there is shared: a tenant that is alone has all of it, one that is not
 * leaves most to the others.
 */
export type RecentTenants = {
  /** Hears of a request. */
  saw(tenantId: string): void;
  /** Whether anybody else has made one within the last second. */
  anyBut(tenantId: string): boolean;
};

/** @param now milliseconds; tests have a clock of their own */
export function createRecentTenants(now = () => performance.now()): RecentTenants {
  let last = { tenantId: '', atMs: Number.NEGATIVE_INFINITY };
  /** The last request of anybody but that one. */
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
