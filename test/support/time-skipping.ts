import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { timeSkippingServerPath } from '../../src/embedded/time-skipping-server';
import { createLog } from '../../src/log';
import { startWorker } from '../../src/worker/start-worker';
import { TestApi } from './api';
import { createTestDatabase } from './database';
import { testEnvironment } from './environment';

export type SkippingInstallation = {
  api: TestApi;
  databaseUrl: string;
  /** Time moves while its `sleep`, or a `result` of its client, is awaited; otherwise it runs like any clock. */
  env: TestWorkflowEnvironment;
  stop(): Promise<void>;
};

/**
 * An api and a worker over Temporal's time-skipping server: days of retries pass in seconds. Postgres and
 * the endpoints keep real time. Hand-over after 2 s does not hold the skipping clock; that is tested on the dev server.
 */
export async function startSkippingInstallation(): Promise<SkippingInstallation> {
  // This server does not know worker heartbeats.
  Runtime.install({
    workerHeartbeatInterval: 0,
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'temporal_client=error,temporal_sdk_core=error', forward: {} } },
    shutdownSignals: [],
  });
  const env = await startServer();
  const database = await createTestDatabase();
  const environment = testEnvironment(database.url, { TEMPORAL_ADDRESS: env.address });
  const config = readConfig(environment);
  const log = createLog('silent');
  const worker = await startWorker(config, log, { connection: env.nativeConnection });
  const api = await startApi(config, log, { onWork: worker.nudge });

  return {
    api: new TestApi(api.url, environment.POSTHORN_BOOTSTRAP_KEY),
    databaseUrl: database.url,
    env,
    async stop() {
      await api.stop();
      await worker.stop();
      await env.teardown();
      await database.drop();
    },
  };
}

const STARTS = 5;

/** The SDK gives the server 5 s to come up, which a JVM on a busy machine may need more than once. */
async function startServer(): Promise<TestWorkflowEnvironment> {
  const path = await timeSkippingServerPath();
  process.env.JAVA_TOOL_OPTIONS ??= '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC'; // up sooner
  for (let start = 1; ; start++) {
    try {
      return await TestWorkflowEnvironment.createTimeSkipping({
        server: { executable: { type: 'existing-path', path } },
      });
    } catch (error) {
      if (start === STARTS) throw error;
    }
  }
}
