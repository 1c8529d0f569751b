/** A holder as one round of beats shows it. */
export type SeenHolder = {
  id: number;
  /** Counted up by the holder itself. */
  beats: number;
  /** Its session lives: its process has not died, though it may be stopped. */
  locked: boolean;
};

/** Between two beats of a holder, milliseconds. */
export const BEAT_EVERY_MS = 1_000;
/**
 * A holder without its session and without a beat for this long is dead. A live worker whose connection was cut, or whose
 * Postgres was restarted, is back well within it.
 */
export const DEAD_AFTER_MS = 5_000;
/** The same for a holder that has its session: it may be stopped, or its network may hold bytes back. */
export const STOPPED_AFTER_MS = 60_000;
/** A judge that has seen no round for this long knows nothing of the time between, and begins anew. */
const MAX_GAP_MS = 3_000;

type Observation = { beats: number; sinceMs: number; unlockedSinceMs: number | undefined };

/**
 * Returns a judge: called with the holders of each round of beats, it returns those that are dead. It goes by what it has seen itself,
 * on one monotonic clock: neither Postgres' time nor any other machine's counts, and while nobody can reach Postgres
 * nobody is judged.
 */
export function createJudge(): (
  holders: readonly SeenHolder[],
  own: ReadonlySet<number>,
  nowMs: number,
) => SeenHolder[] {
  let seen = new Map<number, Observation>();
  let lastRoundMs = Number.NEGATIVE_INFINITY;

  return (holders, own, nowMs) => {
    const before = nowMs - lastRoundMs > MAX_GAP_MS ? new Map<number, Observation>() : seen;
    lastRoundMs = nowMs;
    seen = new Map();
    const dead: SeenHolder[] = [];
    for (const holder of holders) {
      if (own.has(holder.id)) continue;
      const last = before.get(holder.id);
      const still = last !== undefined && last.beats === holder.beats;
      const now = {
        beats: holder.beats,
        sinceMs: still ? last.sinceMs : nowMs,
        unlockedSinceMs: holder.locked ? undefined : still ? (last.unlockedSinceMs ?? nowMs) : nowMs,
      };
      seen.set(holder.id, now);
      const diedMs = now.unlockedSinceMs === undefined ? 0 : nowMs - now.unlockedSinceMs;
      if (diedMs >= DEAD_AFTER_MS || nowMs - now.sinceMs >= STOPPED_AFTER_MS) dead.push(holder);
    }
    return dead;
  };
}
