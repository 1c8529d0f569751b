/** No lease, and so no slot that is held for one, is this long. */
export const LONGEST_LEASE = '5 minutes';

/**
 * Times of a gate, in SQL, by the clock of the database; `gate` is what the query calls the row. None of them is ever
 * further ahead than its own length, so one that is was written before the clock was set back, and counts as over.
 */
export function gateConditions(gate: string) {
  /** The breaker lets nothing through. */
  const breakerIsOpen = `(${gate}.breaker_until is not null and ${gate}.breaker_until > now()
    and ${gate}.breaker_until <= now() + ${gate}.breaker_open_ms * interval '1 ms')`;
  return {
    breakerIsOpen,
    /** The breaker's state. */
    breakerState: `case when ${gate}.breaker_until is null then 'closed'
    when ${breakerIsOpen} then 'open' else 'half_open' end`,
    /** Someone holds the slot. An ordered webhook's head holds it without end while it waits for its retry. */
    slotIsTaken: `(${gate}.slot_until >= now()
    and (${gate}.slot_until <= now() + interval '${LONGEST_LEASE}' or ${gate}.slot_until = 'infinity'))`,
    /**
     * The theoretical arrival time of the rate limit (GCRA): never ahead of now, but for statements that run side by side.
     */
    arrivalTime: `(case when ${gate}.rate_next_at <= now() + interval '10 s' then ${gate}.rate_next_at
    else now() - interval '1.5 s' / ${gate}.rate_per_second end)`,
  };
}
