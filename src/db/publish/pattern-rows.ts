import type { BatchEvent } from './types';

/** Each tenant's types and the patterns that match them, side by side. */
export type PatternRows = { patternTenantIds: string[]; patternTypes: string[]; patterns: string[] };

export function patternRows(events: readonly BatchEvent[]): PatternRows {
  const byType = new Map(events.map((event) => [`${event.tenantId}/${event.type}`, event]));
  const rows = [...byType.values()].flatMap((event) => event.patterns.map((pattern) => ({ ...event, pattern })));
  return {
    patternTenantIds: rows.map(({ tenantId }) => tenantId),
    patternTypes: rows.map(({ type }) => type),
    patterns: rows.map(({ pattern }) => pattern),
  };
}
