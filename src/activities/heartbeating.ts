import { heartbeat } from '@temporalio/activity';

/** Well inside the heartbeat timeout of 10 s. */
const HEARTBEAT_EVERY_MS = 2_000;

/** Runs activity work with heartbeats, which carry the work's progress if that is known. */
export async function heartbeating<T>(work: () => Promise<T>, progress?: () => unknown): Promise<T> {
  const timer = setInterval(() => heartbeat(progress?.()), HEARTBEAT_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
