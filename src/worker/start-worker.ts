import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import type { Registry } from 'prom-client';
import { createActivities } from '../activities/activities';
import { createReplayCapacity } from '../activities/replay-capacity';
import { type Config, requireSetting } from '../config';
import { createSecretBox } from '../crypto/secret-box';
import { openDatabase } from '../db/database';
import { assertMigrated } from '../db/migrate';
import { startHolding } from '../delivery/holding';
import { InFlight } from '../delivery/in-flight';
import { createAttempts } from '../delivery/make-attempt';
import { createRetryCapacity } from '../delivery/retry-capacity';
import { watchPauses } from '../delivery/stale';
import { createWebhookTester } from '../delivery/test-webhook';
import { createVerifier } from '../delivery/verify-endpoint';
import { LEASE_MS, MAX_TIMEOUT_MS } from '../domain/limits';
import { createEgressAgent } from '../egress/agent';
import { addressPolicyOf } from '../egress/policy-of';
import { createSender } from '../egress/send';
import type { Log } from '../log';
import { createWorkerMetrics } from '../metrics/worker-metrics';
import { createAutoMode } from '../relay/auto-mode';
import { ExpressPath } from '../relay/express/express-path';
import { listenForWork } from '../relay/listen';
import { startOperationalEvents } from '../relay/operational-events';
import { startReconciler } from '../relay/reconcile';
import { startRelay } from '../relay/relay';
import { createWaitingStarts } from '../relay/start-waiting';
import { createWorkflowPath } from '../relay/workflow-path';
import { nativeConnectionOptions } from '../temporal/connection';
import { workflowId } from '../temporal/names';
import { probeTemporal } from '../temporal/probe';
import { registerSearchAttributes } from '../temporal/search-attributes';
import { createWorkers } from './workers';

/** Beyond the POST's own limit: loading and recording a later attempt. */
const ATTEMPT_MARGIN_MS = 10_000;

/** Connections per page of a bulk replay under way: what the replays put into the queue needs the others. */
const CONNECTIONS_PER_PAGE = 5;

export type RunningWorker = {
  /** Something was published in this very process. */
  nudge(): void;
  /** Stops claiming, lets attempts under way finish, then closes. */
  stop(): Promise<void>;
  /** Resolves when the worker ends; rejects if it failed. */
  ended: Promise<void>;
};

export type WorkerExtras = {
  /** For its metrics; without it, nothing is counted. */
  registry?: Registry | undefined;
  /** To Temporal, of a caller that has set the SDK's runtime up and closes it; without it, by the settings. */
  connection?: NativeConnection;
};

/**
 * A worker process: relay, workflows and activities over one connection. Any number may run side by side.
 * @throws if the database or Temporal cannot be reached, or the database is not migrated
 */
export async function startWorker(
  config: Config,
  log: Log,
  { registry, connection: given }: WorkerExtras = {},
): Promise<RunningWorker> {
  const databaseUrl = requireSetting(config, 'DATABASE_URL');
  const secretBox = createSecretBox(requireSetting(config, 'POSTHORN_ENCRYPTION_KEYS'));
  if (!given) quietRuntime(log);
  const db = openDatabase({
    url: databaseUrl,
    poolSize: config.POSTHORN_DB_POOL_SIZE,
    keptOpen: Math.floor(config.POSTHORN_DB_POOL_SIZE / 2),
    applicationName: 'posthorn-worker',
    planner: 'queue',
    onError: (error) => log.warn({ event: 'database_connection_lost', err: error.message }),
  });
  await assertMigrated(db.pool);
  // Client and workers share one native connection: eager starts need it.
  const connection = given ?? (await NativeConnection.connect(await nativeConnectionOptions(config)));
  const client = new Client({ connection, namespace: config.TEMPORAL_NAMESPACE });
  await registerSearchAttributes(client, config.TEMPORAL_NAMESPACE, log);

  const agent = createEgressAgent({
    policy: addressPolicyOf(config),
    connectTimeoutMs: config.POSTHORN_CONNECT_TIMEOUT,
    dnsTimeoutMs: config.POSTHORN_DNS_TIMEOUT,
    dnsServers: config.POSTHORN_DNS_SERVERS,
    proxy: config.POSTHORN_EGRESS_PROXY,
    maxConnectionsPerOrigin: config.POSTHORN_CONNECTIONS_PER_HOST,
  });
  const pauses = watchPauses();
  const holding = await startHolding(databaseUrl, pauses, log);
  const inFlight = new InFlight(config.POSTHORN_MAX_IN_FLIGHT, LEASE_MS);
  const retryCapacity = createRetryCapacity(config.POSTHORN_MAX_RETRIES_IN_FLIGHT);
  const replayCapacity = createReplayCapacity(
    Math.max(1, Math.floor(config.POSTHORN_DB_POOL_SIZE / CONNECTIONS_PER_PAGE)),
  );
  const metrics = registry && createWorkerMetrics(registry, () => inFlight.byPath);
  const sender = createSender({ agent, allowHttp: config.POSTHORN_ALLOW_HTTP, onResend: metrics?.onResend });
  const perWebhook = config.POSTHORN_MAX_IN_FLIGHT_PER_WEBHOOK;
  const attempts = createAttempts({
    db,
    secretBox,
    sender,
    holding,
    pauses,
    log,
    perWebhook,
    acquireSlot: (delivery, cap) => inFlight.enter(delivery, Math.min(perWebhook, cap ?? perWebhook), 'later'),
    onOutboxRow: () => operationalEvents.nudge(),
    onAttempt: metrics?.onAttempt,
  });
  const activities = createActivities({
    db,
    replayCapacity,
    attempts,
    verify: createVerifier({ db, secretBox, sender, log, origin: config.POSTHORN_VERIFICATION_ORIGIN }),
    testWebhook: createWebhookTester({ db, secretBox, sender, log }),
    inFlight,
    retryCapacity,
    maxPostMs: MAX_TIMEOUT_MS,
    signalDone: async (deliveryId, number, result) => {
      await client.workflow.getHandle(workflowId(deliveryId)).signal('attemptDone', { number, result });
    },
    log,
  });
  const workers = await createWorkers(config, connection, activities);
  const ended = workers.run();
  // Whoever awaits `ended` sees the failure; this keeps an early one from ending the process before that.
  ended.catch(() => undefined);

  const start = {
    client,
    taskQueuePrefix: config.POSTHORN_TASK_QUEUE,
    attemptTimeoutMs: MAX_TIMEOUT_MS + ATTEMPT_MARGIN_MS,
  };
  const relaySettings = {
    ...{ holding, log, leaseMs: LEASE_MS, perWebhook },
    priorities: config.POSTHORN_PRIORITIES,
    mode: config.POSTHORN_DELIVERY_MODE,
    onClaimed: metrics?.onClaimed,
  };
  const autoMode = createAutoMode({
    lagMs: config.POSTHORN_AUTO_LAG,
    log,
    ask: () => probeTemporal(client),
    onSwitch: metrics?.onAutoSwitch,
  });
  const starts = createWaitingStarts({ ...start, log });
  const workflowRelay = startRelay(
    relaySettings,
    createWorkflowPath({
      ...start,
      ...{ db, inFlight, log },
      modes: autoMode.workflow,
      onClaim: autoMode.onWorkflowClaim,
    }),
  );
  const expressRelay = startRelay(
    relaySettings,
    new ExpressPath({
      ...{ db, attempts, inFlight, holding, pauses, log },
      capacity: config.POSTHORN_EXPRESS_IN_FLIGHT,
      modes: autoMode.express,
      onClaim: autoMode.onExpressClaim,
      startWaiting: starts.add,
    }),
  );
  const nudge = () => {
    expressRelay.nudge();
    workflowRelay.nudge();
  };
  const operationalEvents = startOperationalEvents(db, log, nudge);
  const listener = listenForWork(databaseUrl, nudge, log);
  const reconciler = startReconciler({
    ...start,
    db,
    log,
    retention: { auditLogMs: config.POSTHORN_AUDIT_LOG_RETENTION, replaysMs: config.POSTHORN_REPLAY_RETENTION },
    everyMs: config.POSTHORN_RECONCILE_EVERY,
    overdueMs: config.POSTHORN_RECONCILE_AFTER,
  });

  let stopping: Promise<void> | undefined;
  async function stop(): Promise<void> {
    // The express path's attempts get the same grace as those of workflows.
    const expressStopped = expressRelay.stop();
    await Promise.all([listener.stop(), workflowRelay.stop(), reconciler.stop()]);
    retryCapacity.close();
    replayCapacity.close();
    workers.shutdown();
    // Attempts get the grace to end. One that is cut off then was not answered and is not recorded:
    // another worker, or the next start, makes it again.
    const cut = setTimeout(() => void agent.destroy(), config.POSTHORN_SHUTDOWN_GRACE);
    await ended.catch(() => undefined);
    await inFlight.drained(config.POSTHORN_SHUTDOWN_GRACE);
    await expressStopped;
    // Late attempts wait until the attempt that holds their number has ended.
    await Promise.race([attempts.settled(), sleep(config.POSTHORN_SHUTDOWN_GRACE, undefined, { ref: false })]);
    await starts.stop();
    await holding.stop();
    pauses.stop();
    await operationalEvents.stop();
    clearTimeout(cut);
    await agent.destroy();
    if (!given) await connection.close();
    await db.close();
  }
  return {
    nudge,
    ended,
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

let runtimeInstalled = false;

/** The SDK's runtime is one per process; its own lines go to our log, warnings and worse only. */
function quietRuntime(log: Log): void {
  if (runtimeInstalled) return;
  runtimeInstalled = true;
  const logger = new DefaultLogger('WARN', ({ level, message }) => {
    // The worker of later attempts has none, on purpose.
    if (!message.startsWith('No workflows registered')) log.warn({ event: 'temporal_sdk', level, message });
  });
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: 'temporal_client=error,temporal_sdk_core=error', forward: {} } },
    // The processes have handlers of their own, which stop things in order.
    shutdownSignals: [],
  });
}
