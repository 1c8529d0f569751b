import type { Pool } from 'pg';
import { withPartition } from '../partitions';
import { prepareStatement } from '../prepared-statement';
import { PATTERN_ROWS, patternRows } from './pattern-rows';
import { publishMany } from './publish-many';
import type { BatchEvent, BatchResult } from './types';

/** Deliveries that one statement makes at most, unless a single event has more: well within its time limit. */
const MAX_DELIVERIES = 10_000;

/**
 * Publishes events of one tenant, made at one time, in their order; one result for each. They go in as few statements
 * as the cap on deliveries allows, each for itself: if a later one fails, what came before it stays published.
 * Of several with one key the first counts.
 */
export async function publishBatch(pool: Pool, events: readonly BatchEvent[]): Promise<BatchResult[]> {
  if (events.length === 0) return [];
  const fanOut = await countMatches(pool, events);
  const results: BatchResult[] = [];
  for (const chunk of chunksOf(events, (event) => Math.max(1, fanOut.get(event.type) ?? 0), MAX_DELIVERIES)) {
    const published = await withPartition(pool, chunk[0]!.createdAt, () => publishMany(pool, chunk));
    results.push(...published.map((result) => result!)); // none of them is a request of its own
  }
  return results;
}

/** Splits in order, so that the sizes of a part add up to at most `max`; a single one may have more. */
export function chunksOf<T>(items: readonly T[], sizeOf: (item: T) => number, max: number): T[][] {
  const chunks: T[][] = [];
  let left = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (chunks.length === 0 || size > left) {
      chunks.push([]);
      left = max;
    }
    chunks.at(-1)!.push(item);
    left -= size;
  }
  return chunks;
}

/** Reads subscriptions; returns how many webhooks each type has, whatever version they want. */
const COUNT_MATCHES = prepareStatement(
  'count_matches',
  PATTERN_ROWS,
  `
select p.type, count(distinct s.webhook_id)::int as webhooks
from unnest(:pattern_tenant_ids, :pattern_types, :patterns) as p (tenant_id, type, pattern)
join subscriptions s on s.tenant_id = p.tenant_id and s.pattern = p.pattern
group by p.type`,
);

async function countMatches(pool: Pool, events: readonly BatchEvent[]): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ type: string; webhooks: number }>(COUNT_MATCHES(patternRows(events)));
  return new Map(rows.map(({ type, webhooks }) => [type, webhooks]));
}
