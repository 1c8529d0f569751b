import { Client } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { createActivities } from '../../src/activities/activities';
import { createReplayRoom } from '../../src/activities/replay-room';
import { startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { createSecretBox } from '../../src/crypto/secret-box';
import { openDatabase } from '../../src/db/database';
import { startHolding } from '../../src/delivery/holding';
import { InFlight } from '../../src/delivery/in-flight';
import { createAttempts } from '../../src/delivery/make-attempt';
import { createRetryRoom } from '../../src/delivery/retry-room';
import { watchPauses } from '../../src/delivery/stale';
import { LEASE_MS, MAX_TIMEOUT_MS } from '../../src/domain/limits';
import { createEgressAgent } from '../../src/egress/agent';
import { addressPolicyOf } from '../../src/egress/policy-of';
import { createSender } from '../../src/egress/send';
import { timeSkippingServerPath } from '../../src/embedded/time-skipping-server';
import { createLog } from '../../src/log';
import { startRelay } from '../../src/relay/relay';
import { createWorkflowPath } from '../../src/relay/workflow-path';
import { workflowId } from '../../src/temporal/names';
import { registerSearchAttributes } from '../../src/temporal/search-attributes';
import { createWorkers } from '../../src/worker/workers';
import { TestApi } from './api';
import { createTestDatabase } from './database';
import { testEnvironment } from './environment';

export type SkippingInstallation = {
  api: TestApi;
  /** Time moves while its `sleep`, or a `result` of its client, is awaited; otherwise it runs like any clock. */
  env: TestWorkflowEnvironment;
  stop(): Promise<void>;
};

/**
 * An api, a relay and the workers over Temporal's time-skipping server: days of retries pass in seconds. Postgres and
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
  // Not `env.client`: eager starts need the workers' own connection.
  const client = new Client({ connection: env.nativeConnection });
  await registerSearchAttributes(client, 'default', createLog('silent'));

  const database = await createTestDatabase();
  const environment = testEnvironment(database.url, { TEMPORAL_ADDRESS: env.address });
  const config = readConfig(environment);
  const log = createLog('silent');
  const db = openDatabase({ url: database.url, poolSize: 10, applicationName: 'test-worker', planner: 'queue' });
  const agent = createEgressAgent({
    policy: addressPolicyOf(config),
    connectTimeoutMs: config.POSTHORN_CONNECT_TIMEOUT,
    dnsTimeoutMs: config.POSTHORN_DNS_TIMEOUT,
    maxConnectionsPerOrigin: config.POSTHORN_CONNECTIONS_PER_HOST,
  });
  const sender = createSender({ agent, allowHttp: true });
  const pauses = watchPauses();
  const holding = await startHolding(database.url, pauses, log);
  const inFlight = new InFlight(config.POSTHORN_MAX_IN_FLIGHT, LEASE_MS);
  const activities = createActivities({
    db,
    replayRoom: createReplayRoom(4),
    attempts: createAttempts({
      db,
      secretBox: createSecretBox(config.POSTHORN_ENCRYPTION_KEYS!),
      sender,
      holding,
      pauses,
      log,
      perWebhook: config.POSTHORN_MAX_IN_FLIGHT_PER_WEBHOOK,
      takeRoom: () => true,
      onRaised: () => undefined,
    }),
    verify: () => Promise.reject(new Error('no test of the engine verifies endpoints')),
    inFlight,
    retryRoom: createRetryRoom(config.POSTHORN_MAX_RETRIES_IN_FLIGHT),
    maxPostMs: MAX_TIMEOUT_MS,
    signalDone: (deliveryId, number, result) =>
      client.workflow.getHandle(workflowId(deliveryId)).signal('attemptDone', { number, result }),
    log,
  });
  const workers = await createWorkers(config, env.nativeConnection, activities);
  const ended = workers.run();
  const relay = startRelay(
    {
      ...{ holding, log, leaseMs: LEASE_MS },
      perWebhook: config.POSTHORN_MAX_IN_FLIGHT_PER_WEBHOOK,
      priorities: config.POSTHORN_PRIORITIES,
      mode: 'workflow',
    },
    createWorkflowPath({
      ...{ db, client, inFlight, log },
      taskQueuePrefix: config.POSTHORN_TASK_QUEUE,
      attemptTimeoutMs: LEASE_MS,
      modes: () => ['workflow'],
    }),
  );
  const api = await startApi(config, log, { onWork: relay.nudge });

  return {
    api: new TestApi(api.url, environment.POSTHORN_BOOTSTRAP_KEY),
    env,
    async stop() {
      await api.stop();
      await relay.stop();
      workers.shutdown();
      await ended;
      await sender.close();
      await env.teardown();
      await holding.stop();
      pauses.stop();
      await db.close();
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
