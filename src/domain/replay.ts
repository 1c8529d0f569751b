import type { EndState } from './delivery';

/** Which ended deliveries a bulk replay sends again. Times are RFC 3339 text: the filter is stored as JSON. */
export type ReplayFilter = { since: string; until: string; states: EndState[]; event_types?: string[] };

export type ReplayState = 'running' | 'completed' | 'cancelled';
