import { heartbeat } from '@temporalio/activity';

/** Well inside the heartbeat timeout of 10 s. */
const HEARTBEAT_EVERY_MS = 2_000;

/** Runs activity work while telling the server that this worker is alive, and how far it has come where that is known. */
export async function heartbeating<T>(work: () => Promise<T>, progress?: () => unknown): Promise<T> {
  const timer = setInterval(() => heartbeat(progress?.()), HEARTBEAT_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
