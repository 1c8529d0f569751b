import { existsSync } from 'node:fs';
import path from 'node:path';
import { type NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type { Activities } from '../activities/activities';
import { withReserve } from '../concurrency/tenant-slots';
import type { Config } from '../config';
import { MAX_WAITING } from '../delivery/retry-capacity';
import { MAX_TESTS } from '../delivery/test-webhook';
import { MAX_CHALLENGES } from '../delivery/verify-endpoint';
import { taskQueues } from '../temporal/names';
import { LeanWorker } from './lean-worker';
import { WORKFLOW_CODE } from './workflow-code';

/** Made by src/worker/bundle.ts at build time; without it (tests run the sources) the SDK bundles at start. */
const BUNDLE = path.join(__dirname, '..', '..', 'workflow-bundle.js');

/** Pollers hold slots even while idle, so slots are given on top of what the work itself needs. */
const POLLERS = 10;
const SPARE_SLOTS = 50;
/** A worker that died owns its sticky queue for this long: it delays the timers and queries of its workflows. */
const STICKY_TIMEOUT_MS = 2_000;

export type Workers = { run(): Promise<void>; shutdown(): void };

/**
 * Activities of bulk replays that a worker holds, most of them waiting for a permit: more than thirty tenants may hold
 * together (src/activities/replay-capacity.ts), so that it chooses between tenants, not Temporal.
 */
const REPLAY_SLOTS = 200;
const REPLAY_POLLERS = 2;

/** The Temporal workers of a worker process: workflows with first attempts, later attempts, and bulk replays. */
export async function createWorkers(
  config: Config,
  connection: NativeConnection,
  activities: Activities,
): Promise<Workers> {
  const queues = taskQueues(config.POSTHORN_TASK_QUEUE);
  const first = withReserve(config.POSTHORN_MAX_IN_FLIGHT);
  const shared = {
    connection,
    namespace: config.TEMPORAL_NAMESPACE,
    activities,
    // Above the POST timeout: a normal activity is cancelled only when its POST must have ended.
    shutdownGraceTime: config.POSTHORN_SHUTDOWN_GRACE,
    shutdownForceTime: config.POSTHORN_SHUTDOWN_GRACE + 5_000,
  } satisfies Partial<WorkerOptions>;

  const workflows = await LeanWorker.create({
    ...shared,
    ...workflowCode(),
    taskQueue: queues.workflows,
    enableNonLocalActivities: false,
    // A first attempt holds its workflow-task slot until it ends or is handed over.
    maxConcurrentWorkflowTaskExecutions: first + POLLERS + SPARE_SLOTS,
    maxConcurrentLocalActivityExecutions: first + SPARE_SLOTS,
    maxConcurrentWorkflowTaskPolls: POLLERS,
    maxCachedWorkflows: config.POSTHORN_MAX_CACHED_WORKFLOWS,
    stickyQueueScheduleToStartTimeout: STICKY_TIMEOUT_MS,
  });
  const retries = await Worker.create({
    ...shared,
    taskQueue: queues.retries,
    // Slots for all attempts that may be under way, claimed or not, and for all that may wait for capacity: the sharing by
    // tenant is done in retry-capacity.ts. So one tenant's tasks never keep those of others from being handed over.
    maxConcurrentActivityTaskExecutions:
      withReserve(config.POSTHORN_MAX_RETRIES_IN_FLIGHT) +
      first +
      withReserve(MAX_WAITING) +
      withReserve(MAX_CHALLENGES) +
      withReserve(MAX_TESTS) +
      SPARE_SLOTS,
    // Heartbeats are few; each one should reach the server when it is sent.
    maxHeartbeatThrottleInterval: 2_000,
    defaultHeartbeatThrottleInterval: 2_000,
  });
  const replays = await Worker.create({
    ...shared,
    taskQueue: queues.replays,
    maxConcurrentActivityTaskExecutions: REPLAY_SLOTS,
    maxConcurrentActivityTaskPolls: REPLAY_POLLERS,
    maxHeartbeatThrottleInterval: 2_000,
    defaultHeartbeatThrottleInterval: 2_000,
  });
  const all = [workflows, retries, replays];
  return {
    run: async () => void (await Promise.all(all.map((worker) => worker.run()))),
    shutdown: () => {
      for (const worker of all) if (worker.getState() === 'RUNNING') worker.shutdown();
    },
  };
}

function workflowCode(): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath' | 'bundlerOptions'> {
  if (existsSync(BUNDLE)) return { workflowBundle: { codePath: BUNDLE } };
  const { workflowsPath, preloadModules } = WORKFLOW_CODE;
  return { workflowsPath, bundlerOptions: { preloadModules } };
}
