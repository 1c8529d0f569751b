/*
 * Times of a gate, in SQL, by the clock of the database; the query calls the gate `g`. None of them is ever further ahead
 * than its own length, so one that is was written before the clock was set back, and counts as over.
 */

/** No lease, and so no slot that is held for one, is this long. */
export const LONGEST_LEASE = '5 minutes';

/** The breaker lets nothing through. */
export const BREAKER_IS_OPEN = `(g.breaker_until is not null and g.breaker_until > now()
    and g.breaker_until <= now() + g.breaker_open_ms * interval '1 ms')`;

/** The breaker's state. */
export const BREAKER_STATE = `case when g.breaker_until is null then 'closed'
    when ${BREAKER_IS_OPEN} then 'open' else 'half_open' end`;

/** Someone holds the slot. An ordered webhook's head holds it without end while it waits for its retry. */
export const SLOT_IS_TAKEN = `(g.slot_until >= now()
    and (g.slot_until <= now() + interval '${LONGEST_LEASE}' or g.slot_until = 'infinity'))`;

/** The theoretical arrival time of the rate limit (GCRA): never ahead of now, but for statements that run side by side. */
export const ARRIVAL_TIME = `(case when g.tat <= now() + interval '10 s' then g.tat else now() - interval '1.5 s' / g.rate_per_second end)`;
