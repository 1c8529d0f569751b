import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, type Worker } from '@temporalio/worker';
import { readConfig } from '../src/config';
import { nativeConnectionOptions } from '../src/temporal/connection';
import { LeanWorker } from '../src/worker/lean-worker';
import { nowMs } from './clock';
import { serve } from './remote';
import type { noop } from './workflows/noop';

/** Starts no-op workflows and runs them, in one process over one connection, as Posthorn's worker does with its own. */
const TASK_QUEUE = 'bench-noop';
/** The next three as in src/worker/workers.ts and src/temporal/start-delivery.ts: the ceiling must have the same settings. */
const POLLERS = 10;
const SPARE_SLOTS = 50;
const WORKFLOW_TASK_TIMEOUT_MS = 10_000;

const DRAIN_PROBE_MS = 5;
const DRAIN_LIMIT_MS = 60_000;
/** Visibility follows a little behind, and answers ten requests a second. */
const COUNT_EVERY_MS = 250;
const COUNT_LIMIT_MS = 20_000;

export type NoopRound = { perSecond: number; eager: number };

let client: Client;
let worker: Worker;
let rounds = 0;
let startedInAll = 0;

const methods = {
  async start(bundle: string): Promise<void> {
    const config = readConfig(process.env);
    Runtime.install({
      logger: new DefaultLogger('WARN'),
      telemetryOptions: { logging: { filter: 'temporal_client=error,temporal_sdk_core=error', forward: {} } },
      shutdownSignals: [],
    });
    const connection = await NativeConnection.connect(await nativeConnectionOptions(config));
    const namespace = config.TEMPORAL_NAMESPACE;
    client = new Client({ connection, namespace });
    worker = await LeanWorker.create({
      connection,
      namespace,
      workflowBundle: { codePath: bundle },
      taskQueue: TASK_QUEUE,
      enableNonLocalActivities: false,
      maxConcurrentWorkflowTaskExecutions: config.POSTHORN_MAX_IN_FLIGHT + POLLERS + SPARE_SLOTS,
      maxConcurrentLocalActivityExecutions: config.POSTHORN_MAX_IN_FLIGHT + SPARE_SLOTS,
      maxConcurrentWorkflowTaskPolls: POLLERS,
      maxCachedWorkflows: config.POSTHORN_MAX_CACHED_WORKFLOWS,
    });
    worker.run().catch(fail);
  },

  /** Runs `workflows` of them, at most `concurrency` starts at once. Ends when the server has closed the last one. */
  async run(workflows: number, concurrency: number): Promise<NoopRound> {
    const round = ++rounds;
    let next = 0;
    let eager = 0;
    const beganMs = nowMs();
    const starter = async () => {
      while (next < workflows) {
        const handle = await client.workflow.start<typeof noop>('noop', {
          args: [],
          workflowId: `noop-${round}-${next++}`,
          taskQueue: TASK_QUEUE,
          workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT_MS,
          requestEagerStart: true,
        });
        if (handle.eagerlyStarted) eager++;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, starter));
    await untilNothingIsCached();
    const perSecond = (workflows * 1000) / (nowMs() - beganMs);
    startedInAll += workflows;
    await untilAllAreClosed();
    return { perSecond, eager };
  },
};

/** A workflow leaves the cache when the server has taken its last task: no polling of the server while it is measured. */
async function untilNothingIsCached(): Promise<void> {
  const deadline = nowMs() + DRAIN_LIMIT_MS;
  for (;;) {
    const { numCachedWorkflows, numInFlightWorkflowActivations } = worker.getStatus();
    if (numCachedWorkflows === 0 && numInFlightWorkflowActivations === 0) return;
    if (nowMs() > deadline) throw new Error(`${numCachedWorkflows} no-op workflows did not end`);
    await sleep(DRAIN_PROBE_MS);
  }
}

/** The proof that every one of them ran. */
async function untilAllAreClosed(): Promise<void> {
  const query = `TaskQueue = '${TASK_QUEUE}' AND ExecutionStatus = 'Completed'`;
  const deadline = nowMs() + COUNT_LIMIT_MS;
  for (;;) {
    const { count } = await client.workflow.count(query);
    if (count === startedInAll) return;
    if (nowMs() > deadline) throw new Error(`${count} of ${startedInAll} no-op workflows were closed`);
    await sleep(COUNT_EVERY_MS);
  }
}

function fail(error: Error): void {
  console.error(error);
  process.exit(1);
}

export type NoopMethods = typeof methods;
serve(methods);
