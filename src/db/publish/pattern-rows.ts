import type { Values } from '../prepared-statement';
import type { BatchEvent } from './types';

/** Each tenant's types and the patterns that match them, side by side. */
export const PATTERN_ROWS = { pattern_tenant_ids: 'uuid[]', pattern_types: 'text[]', patterns: 'text[]' } as const;

export function patternRows(events: readonly BatchEvent[]): Values<typeof PATTERN_ROWS> {
  const byType = new Map(events.map((event) => [`${event.tenantId}/${event.type}`, event]));
  const rows = [...byType.values()].flatMap((event) => event.patterns.map((pattern) => ({ ...event, pattern })));
  return {
    pattern_tenant_ids: rows.map(({ tenantId }) => tenantId),
    pattern_types: rows.map(({ type }) => type),
    patterns: rows.map(({ pattern }) => pattern),
  };
}
