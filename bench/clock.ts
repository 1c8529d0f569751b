/** CLOCK_MONOTONIC in milliseconds: every process of one machine reads the same clock, and nobody sets it. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
