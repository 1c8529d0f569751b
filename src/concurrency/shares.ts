/** How many places there are at once: for one key (a tenant), and for all of them. */
export type ShareLimits = { perKey: number; total: number };

export type Shares = {
  /** Takes a place; the function that comes back gives it back, once. Undefined where there is none. */
  take(key: string): (() => void) | undefined;
};

/** Counts places in memory, so that nobody has more than a share of them. */
export function createShares({ perKey, total }: ShareLimits): Shares {
  const taken = new Map<string, number>();
  let all = 0;
  return {
    take(key) {
      const own = taken.get(key) ?? 0;
      if (own >= perKey || all >= total) return undefined;
      taken.set(key, own + 1);
      all++;
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        all--;
        const left = taken.get(key)! - 1;
        if (left > 0) taken.set(key, left);
        else taken.delete(key);
      };
    },
  };
}
