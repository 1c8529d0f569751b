import type { WorkflowHandle } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { LeanWorker } from '../../src/worker/lean-worker';
import { connectTemporal } from '../support/temporal';
import { until } from '../support/until';

/** Notices at the first look. */
class ImpatientWorker extends LeanWorker {
  protected static override stuckAfterMs = 1;
}

let temporal: Awaited<ReturnType<typeof connectTemporal>>;
let connection: NativeConnection;

beforeAll(async () => {
  const filter = 'temporal_client=error,temporal_sdk_core=error';
  Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { filter, forward: {} } },
  });
  temporal = await connectTemporal();
  connection = await NativeConnection.connect({ address: process.env.POSTHORN_TEST_TEMPORAL_ADDRESS! });
});
afterAll(async () => {
  await connection?.close();
  await temporal?.close();
});

/** Runs one workflow while `use` looks at it, and stops everything. Returns how the worker ended. */
async function withWorkflow(
  kind: typeof LeanWorker,
  workflow: string,
  use: (handle: WorkflowHandle, ended: Promise<unknown>) => Promise<void>,
): Promise<void> {
  const taskQueue = `lean-${process.pid}-${workflow}`;
  const worker = await kind.create({ connection, taskQueue, workflowsPath: require.resolve('./stuck-workflows') });
  const ended = worker.run().catch((error: Error) => error.message);
  const handle = await temporal.client.workflow.start(workflow, { taskQueue, workflowId: taskQueue });
  try {
    await use(handle, ended);
  } finally {
    await handle.terminate().catch(() => undefined); // it has ended by itself
    if (worker.getState() === 'RUNNING') worker.shutdown();
    await ended;
  }
}

test('a workflow that never comes back makes the worker fail', () =>
  withWorkflow(ImpatientWorker, 'neverComesBack', async (_, ended) => {
    expect(await ended).toBe('Workflow Worker Thread exited while there were still pending completions');
  }));

test('the stack trace of one that waits is refused in plain words', () =>
  withWorkflow(LeanWorker, 'waits', async (handle) => {
    await expect(handle.query('__stack_trace')).rejects.toThrow('stack traces are not enabled on this worker');
  }));

test('the error of one that failed names the line of its source', () =>
  withWorkflow(LeanWorker, 'fails', async (handle) => {
    const text = await until('the failed workflow task', async () => {
      const found = JSON.stringify((await handle.fetchHistory()).events ?? []);
      return found.includes('on purpose') && found;
    });
    expect(text).toContain('stuck-workflows.ts');
  }));
