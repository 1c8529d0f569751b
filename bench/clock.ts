/** CLOCK_MONOTONIC in milliseconds: every process of one machine reads the same clock, and nobody sets it. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** @throws where another process, which `ask` asks for the time, does not read our clock */
export async function requireSameClock(name: string, ask: () => Promise<number>): Promise<void> {
  const askedMs = nowMs();
  const theirsMs = await ask();
  const answeredMs = nowMs();
  if (theirsMs >= askedMs && theirsMs <= answeredMs) return;
  throw new Error(`the clock of ${name} reads ${theirsMs} ms, not between ${askedMs} and ${answeredMs}`);
}
