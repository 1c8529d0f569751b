import { Worker as Thread } from 'node:worker_threads';
import type { Logger } from '@temporalio/common';
import { type CompiledWorkerOptions, Worker } from '@temporalio/worker';
import type { WorkflowCreator } from '@temporalio/worker/lib/workflow/interface';
import { ThreadedVMWorkflowCreator, WorkerThreadClient } from '@temporalio/worker/lib/workflow/threaded-vm';
import type { WorkflowBundleWithSourceMapAndFilename } from '@temporalio/worker/lib/workflow/workflow-worker-thread/input';

const LOOK_EVERY_MS = 1_000;

const sdkFile = (name: string) => JSON.stringify(require.resolve(`@temporalio/worker/lib/workflow/${name}`));

/** The SDK's own thread of workflows, but for the hook that records a stack trace for every promise. */
const THREAD = `
  require(${sdkFile('vm-shared')}).globalHandlers.setPromiseHook = () => {};
  require(${sdkFile('workflow-worker-thread')});
`;

/**
 * A Temporal worker whose workflows cost less CPU: figures in docs/decisions/0020. It differs from the SDK's in two
 * ways. Each call into a workflow is made without a timeout of its own, for which Node starts a thread: one look a
 * second at the whole thread takes its place. And there are no stack traces of waiting workflows: that query
 * (`__stack_trace`) is refused.
 */
export class LeanWorker extends Worker {
  /** Far above any step of a workflow, also on a machine that has too much to do. */
  protected static stuckAfterMs = 30_000;

  protected static override async createWorkflowCreator(
    workflowBundle: WorkflowBundleWithSourceMapAndFilename,
    options: CompiledWorkerOptions,
    logger: Logger,
  ): Promise<WorkflowCreator> {
    // biome-ignore lint/complexity/noThisInStatic: a subclass may be less patient
    const thread = new WatchedThread(new Thread(THREAD, { eval: true }), logger, this.stuckAfterMs);
    await thread.send({
      type: 'init',
      workflowBundle,
      isolateExecutionTimeoutMs: undefined as unknown as number, // as node:vm has it: none
      reuseV8Context: true,
      registeredActivityNames: new Set(options.activities.keys()),
      hasPatchActivationCallback: false,
    });
    // How long it takes to load the bundle is nobody's fault: only steps of workflows are watched.
    thread.watch();
    return new ThreadedVMWorkflowCreator([thread]);
  }
}

/**
 * A workflow that never comes back from a call holds up all others of its thread. The thread is ended then, which makes
 * the worker fail; what it held is done by another one, or by the next start.
 */
class WatchedThread extends WorkerThreadClient {
  readonly #unanswered = new Set<{ looks: number }>(); // in the order of sending
  readonly #thread: Thread;
  readonly #logger: Logger;
  readonly #stuckAfterMs: number;
  #look: NodeJS.Timeout | undefined;

  constructor(thread: Thread, logger: Logger, stuckAfterMs: number) {
    super(thread, logger);
    this.#thread = thread;
    this.#logger = logger;
    this.#stuckAfterMs = stuckAfterMs;
  }

  /** Ends the thread once a request that is sent from now on is not answered in time. */
  watch(): void {
    this.#look = setInterval(() => {
      const [oldest] = this.#unanswered;
      // Looks are counted, not time: a process that was stopped for a while is not stuck.
      if (oldest === undefined || ++oldest.looks * LOOK_EVERY_MS < this.#stuckAfterMs) return;
      clearInterval(this.#look);
      this.#logger.error(`a workflow has not come back for ${this.#stuckAfterMs} ms`);
      void this.#thread.terminate();
    }, LOOK_EVERY_MS).unref();
  }

  override async send(...[input]: Parameters<WorkerThreadClient['send']>): ReturnType<WorkerThreadClient['send']> {
    const request = { looks: 0 };
    this.#unanswered.add(request);
    try {
      return await super.send(input);
    } finally {
      this.#unanswered.delete(request);
    }
  }

  override async destroy(): Promise<void> {
    clearInterval(this.#look);
    await super.destroy();
  }
}
