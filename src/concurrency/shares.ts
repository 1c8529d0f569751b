/** How many places may be held at once: by one key (a tenant), and in all. */
export type ShareLimits = { perKey: number; total: number };

export type Shares = {
  /** Takes a place and returns the function that releases it; undefined if none is free. */
  take(key: string): (() => void) | undefined;
};

/** Counts places in memory, so that no key holds more than its share. */
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
