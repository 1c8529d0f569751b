/** Event types are dotted lower-case names (`order.created`); patterns are `*`, `order.*`, or one exact type. */
export const EVENT_TYPE = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;
export const EVENT_PATTERN = /^(\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?)$/;
export const MAX_EVENT_TYPE_LENGTH = 128;

/** Types of Posthorn's own events; producers may not use it. */
export const OPERATIONAL_PREFIX = 'posthorn.';

/** Posthorn's own events, for tenants that subscribe to them. */
export const OPERATIONAL_EVENTS = [
  'posthorn.delivery.failed',
  'posthorn.webhook.disabled',
  'posthorn.webhook.failing',
  'posthorn.webhook.recovered',
] as const;
export type OperationalEvent = (typeof OPERATIONAL_EVENTS)[number];

/** What `posthorn dev` sends to its own inbox at each start. No webhook gets it by its patterns. */
export const GREETING_EVENT = 'posthorn.greeting';

/** What becomes of an event whose type, or the version of it, nobody has described. */
export const ON_UNKNOWN = ['accept', 'refuse'] as const;
export type OnUnknown = (typeof ON_UNKNOWN)[number];

export type JsonObject = Record<string, unknown>;

/** What is wrong with an event type, or undefined. */
export function eventTypeProblem(type: string): string | undefined {
  if (type.length > MAX_EVENT_TYPE_LENGTH) return `must be at most ${MAX_EVENT_TYPE_LENGTH} characters`;
  if (!EVENT_TYPE.test(type)) return 'must be dotted lower-case words such as order.created';
  return undefined;
}

/** What is wrong with a subscription pattern, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  if (pattern === '*') return undefined;
  const base = pattern.endsWith('.*') ? pattern.slice(0, -2) : pattern;
  return eventTypeProblem(base) === undefined ? undefined : 'must be an event type, a prefix such as order.*, or *';
}

/**
 * Every pattern that matches the type, so that a subscription is found by equality on an index:
 * `order.item.added` → `*`, `order.*`, `order.item.*`, `order.item.added`. Operational events go to those only who ask
 * for them by name: `*` stands for the producer's own.
 */
export function matchingPatterns(type: string): string[] {
  const words = type.split('.');
  const prefixes = words.slice(0, -1).map((_, i) => `${words.slice(0, i + 1).join('.')}.*`);
  return type.startsWith(OPERATIONAL_PREFIX) ? [...prefixes, type] : ['*', ...prefixes, type];
}
