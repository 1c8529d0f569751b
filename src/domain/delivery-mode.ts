/**
 * Who makes the attempt of a delivery that the relay has claimed:
 * - `workflow`: a Temporal workflow, started for it
 * - `express`: the relay itself; what does not succeed becomes a workflow, which waits for the next attempt
 * - `auto`: a workflow, but for the time in which more is published than workflows can be started for
 */
export const DELIVERY_MODES = ['workflow', 'express', 'auto'] as const;
export type DeliveryMode = (typeof DELIVERY_MODES)[number];

/** The path that a delivery's last claim put it on, as people see it. */
export const DELIVERY_PATHS = ['workflow', 'express'] as const;
export type DeliveryPath = (typeof DELIVERY_PATHS)[number];
