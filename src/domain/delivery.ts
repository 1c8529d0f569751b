/** What a person sees of a delivery. `held` is a pending one whose gate holds. */
export const DELIVERY_STATES = [
  'pending',
  'held',
  'in_progress',
  'retrying',
  'delivered',
  'failed',
  'cancelled',
] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** States that `deliveries.state` holds: the live ones between publish and end are read from the queue row. */
export const END_STATES = ['delivered', 'failed', 'cancelled'] as const;
export type EndState = (typeof END_STATES)[number];

/** Why an attempt was made. `test`: to test a webhook; it belongs to no delivery (./webhook-test.ts). */
export const TRIGGERS = ['schedule', 'manual', 'replay', 'test'] as const;
export type Trigger = (typeof TRIGGERS)[number];

/**
 * Why the attempt is made now:
 * - `claimed`: the relay took the row from the queue; a row that waits for its timer is left waiting
 * - `due`: its timer fired
 * - `manual`: an operator asked; made whatever the schedule says
 */
export type AttemptCause = 'claimed' | 'due' | 'manual';

export const WEBHOOK_STATUSES = ['active', 'paused', 'disabled'] as const;
export type WebhookStatus = (typeof WEBHOOK_STATUSES)[number];

/** `half_open`: one attempt, the probe, finds out whether the endpoint is healthy again. */
export type BreakerState = 'closed' | 'open' | 'half_open';

/**
 * What is known of a delivery's queue row; absent once the delivery has ended. In flight is an attempt whose POST has
 * begun, or may begin at any moment.
 */
export type QueueFacts = { timed: boolean; inFlight: boolean };

/**
 * Why a delivery waits in the queue although its time has come:
 * - `deleted`: its webhook was deleted, and it is cancelled in a moment; also where its time has not come
 * - `paused`, `disabled`: the webhook's own state
 * - `unverified`: its endpoint has yet to answer the challenge
 * - `throttled`: the receiver asked for less (429, 502, 504 or Retry-After)
 * - `circuit_open`: too many attempts failed in a row
 * - `rate_limited`: the webhook's own rate limit
 * - `ordered`: an older delivery of an ordered webhook goes first
 */
export const HELD_BECAUSE = [
  'deleted',
  'paused',
  'disabled',
  'unverified',
  'throttled',
  'circuit_open',
  'rate_limited',
  'ordered',
] as const;
export type HeldBecause = (typeof HELD_BECAUSE)[number];

/** Why Posthorn disabled a webhook: it answered 410, its deliveries failed in a row, or nothing succeeded for too long. */
export const DISABLED_BECAUSE = ['gone', 'failed_deliveries', 'failing_too_long', 'operator'] as const;
export type DisabledBecause = (typeof DISABLED_BECAUSE)[number];

/** The state that people see, from the delivery, its queue row and the webhook's gate. */
export function visibleState(
  recorded: 'pending' | EndState,
  queue: QueueFacts | undefined,
  held: HeldBecause | undefined,
): DeliveryState {
  if (recorded !== 'pending' || !queue) return recorded;
  if (queue.inFlight) return 'in_progress';
  if (held === 'deleted') return 'held';
  if (queue.timed) return 'retrying';
  return held ? 'held' : 'pending';
}
