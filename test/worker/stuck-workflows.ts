import { condition } from '@temporalio/workflow';

/** Workflows of lean-worker.test.ts. */

export async function waits(): Promise<void> {
  await condition(() => false);
}

export async function neverComesBack(): Promise<void> {
  for (;;);
}

export async function fails(): Promise<void> {
  throw new TypeError('on purpose');
}
