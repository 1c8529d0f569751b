import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { createLog } from '../../src/log';
import { type RunningWorker, startWorker } from '../../src/worker/start-worker';
import { TestApi } from './api';
import { createTestDatabase } from './database';
import { type TestEnvironment, testEnvironment } from './environment';

export type Installation = {
  api: TestApi;
  env: TestEnvironment;
  databaseUrl: string;
  worker: RunningWorker | undefined;
  stop(): Promise<void>;
};

/**
 * An api and a worker in the test's own process, on a database of their own and the run's Temporal. The SDK's runtime
 * is one per process, so this suits tests in which no process has to die; those use ./processes.
 */
export async function startInstallation(
  overrides: Record<string, string> = {},
  { worker: withWorker = true }: { worker?: boolean } = {},
): Promise<Installation> {
  const database = await createTestDatabase();
  const env = testEnvironment(database.url, overrides);
  const config = readConfig(env);
  const log = createLog(config.POSTHORN_LOG_LEVEL);
  const worker = withWorker ? await startWorker(config, log) : undefined;
  const api: RunningApi = await startApi(config, log, worker && { onWork: worker.nudge });
  return {
    api: new TestApi(api.url, env.POSTHORN_BOOTSTRAP_KEY),
    env,
    databaseUrl: database.url,
    worker,
    async stop() {
      await api.stop();
      await worker?.stop();
      await database.drop();
    },
  };
}
