import { Client, Connection } from '@temporalio/client';
import type { Router } from 'express';
import { createFairSemaphore } from '../concurrency/fair-semaphore';
import { createShares } from '../concurrency/shares';
import { type Config, requireSetting } from '../config';
import { createSecretBox } from '../crypto/secret-box';
import { type Database, openDatabase } from '../db/database';
import { assertMigrated } from '../db/migrate';
import { ensurePartitions } from '../db/partitions';
import { createPublishProbe } from '../db/publish/publish-probe';
import { createPublisher } from '../db/publish/publisher';
import { ensureTenantKey } from '../db/store/api-keys';
import { parseRateLimit } from '../domain/rate-limit';
import { createTargetCheck } from '../egress/check-target';
import { addressPolicyOf } from '../egress/policy-of';
import type { ConnectionCounts } from '../http/connections';
import { type ClientLimits, listen } from '../http/server';
import type { Log } from '../log';
import { connectionOptions } from '../temporal/connection';
import { createApp } from './app';
import { withSharedPrototypes } from './http/express-prototypes';
import { createKnownKeys } from './http/known-keys';
import { createReadiness, type Readiness } from './http/readiness';
import { createRecentTenants } from './http/recent-tenants';
import { createSettling } from './http/settle-requests';
import { createTimeSlices } from './http/time-slices';
import { createNotifier } from './publish/notify';
import { createPublishRules } from './publish/rules-cache';
import { createDeliveryWorkflows } from './temporal/deliveries';
import { createReplayWorkflows } from './temporal/replays';
import { createVerificationWorkflows } from './temporal/verifications';
import { createWebhookTestWorkflows } from './temporal/webhook-tests';
import { createVerificationWaits } from './verification-waits';
import { createWebhookTestWaits } from './webhook-test-waits';

export type RunningApi = {
  url: string;
  /** Connections and requests that clients hold now. */
  counts(): ConnectionCounts;
  stop(): Promise<void>;
};

/** A webhook's host name that cannot be looked up in this time is accepted: every attempt looks it up again. */
const REGISTRATION_DNS_LIMIT_MS = 2_000;
/** Queries to running workflows at once; over it, the answer comes from Postgres. */
const MAX_WORKFLOW_QUERIES = { perKey: 20, total: 200 };
/**
 * The share of an api's connections to Postgres that reads may hold, all together and those of one tenant. While other
 * tenants make requests, a place stays empty after use for `restFactor` times as long as it was used. So one tenant uses
 * less than half of a core of Postgres, however much it reads.
 */
const READS = { share: 0.5, shareOfTenant: 0.2, restFactor: 9 };
/** The same for changes: many changes of a tenant wait for each other in Postgres, each with its connection. */
const CHANGES = { share: 0.5, shareOfTenant: 0.15, restFactor: 4 };
const MAX_REST_MS = 5_000;
/** The tenant of the bootstrap key. */
const BOOTSTRAP_TENANT = 'default';

export type ApiExtras = {
  /** Served before everything else. */
  router?: Router;
  /** Called after a publish, as well as the notification: for a relay in the same process. */
  onWork?: () => void;
  clientLimits?: Partial<ClientLimits>;
};

/**
 * Starts an api process. It also starts while Temporal is unavailable, because publishing needs Postgres only.
 * @throws if the database cannot be reached or is not migrated, or the port is taken
 */
export async function startApi(config: Config, log: Log, extras: ApiExtras = {}): Promise<RunningApi> {
  const secretBox = createSecretBox(requireSetting(config, 'POSTHORN_ENCRYPTION_KEYS'));
  const db = openDatabase({
    url: requireSetting(config, 'DATABASE_URL'),
    poolSize: config.POSTHORN_DB_POOL_SIZE,
    keptOpen: Math.floor(config.POSTHORN_DB_POOL_SIZE / 2),
    applicationName: 'posthorn-api',
    planner: 'default',
    onError: (error) => log.warn({ event: 'database_connection_lost', err: error.message }),
  });
  const probe = createPublishProbe(requireSetting(config, 'DATABASE_URL'));
  const connection = Connection.lazy(await connectionOptions(config));
  let readiness: Readiness | undefined;
  const release = async () => {
    await readiness?.settled();
    await probe.close();
    await connection.close();
    await db.close();
  };
  try {
    await prepare(db, config);
    const client = new Client({ connection, namespace: config.TEMPORAL_NAMESPACE });
    const publisher = createPublisher(db.pool);
    const recentTenants = createRecentTenants();
    const timeSlices = createTimeSlices({ isAlone: (tenantId) => !recentTenants.anyBut(tenantId) });
    const notify = createNotifier(db, publisher);
    const deliveryWorkflows = createDeliveryWorkflows(client, config.TEMPORAL_NAMESPACE, config.TEMPORAL_UI_URL);
    const databasePermits = ({ share, shareOfTenant, restFactor }: typeof READS) =>
      createFairSemaphore({
        atOnce: Math.ceil(config.POSTHORN_DB_POOL_SIZE * share),
        perKey: Math.ceil(config.POSTHORN_DB_POOL_SIZE * shareOfTenant),
        restFactor,
        maxRestMs: MAX_REST_MS,
        rests: recentTenants.anyBut,
      });
    const services = {
      db,
      secretBox,
      deliveryWorkflows,
      replayWorkflows: createReplayWorkflows(client, config.POSTHORN_TASK_QUEUE),
      publisher,
      keys: createKnownKeys(db),
      publishRules: createPublishRules(db, timeSlices),
      timeSlices,
      settling: createSettling(db),
      verificationWorkflows: createVerificationWorkflows(client, config.POSTHORN_TASK_QUEUE, recentTenants.anyBut),
      verificationWaits: createVerificationWaits(db.kysely),
      webhookTestWorkflows: createWebhookTestWorkflows(client, config.POSTHORN_TASK_QUEUE, recentTenants.anyBut),
      webhookTestWaits: createWebhookTestWaits(db.kysely),
      workflowQueries: createShares(MAX_WORKFLOW_QUERIES),
      recentTenants,
      reads: databasePermits(READS),
      changes: databasePermits(CHANGES),
      log,
      notifyWork: () => {
        extras.onWork?.();
        notify();
      },
      maxWebhooks: config.POSTHORN_MAX_WEBHOOKS_PER_TENANT,
      allowHttp: config.POSTHORN_ALLOW_HTTP,
      allowWeakSecrets: config.POSTHORN_ALLOW_WEAK_SECRETS,
      replayRate: parseRateLimit(config.POSTHORN_REPLAY_RATE)!,
      minVerification: config.POSTHORN_MIN_ENDPOINT_VERIFICATION,
      senderAddresses: config.POSTHORN_SENDER_ADDRESSES,
      checkTarget: createTargetCheck({
        policy: addressPolicyOf(config),
        dnsTimeoutMs: REGISTRATION_DNS_LIMIT_MS,
        dnsServers: config.POSTHORN_DNS_SERVERS,
      }),
    };
    readiness = createReadiness(probe, deliveryWorkflows, log);
    const app = createApp(services, {
      rateLimit: parseRateLimit(config.POSTHORN_API_RATE_LIMIT)!,
      trustedProxies: config.POSTHORN_TRUSTED_PROXIES,
      requestsUnderWay: config.POSTHORN_API_MAX_CONCURRENT_REQUESTS,
      hsts: config.POSTHORN_HSTS,
      readiness,
      router: extras.router,
    });
    const server = await listen(app, {
      host: config.POSTHORN_HOST,
      port: config.POSTHORN_PORT,
      setting: 'POSTHORN_PORT',
      limits: {
        connections: config.POSTHORN_MAX_CONNECTIONS,
        perAddress: config.POSTHORN_MAX_CONNECTIONS_PER_ADDRESS,
        ...extras.clientLimits,
      },
      standsForMany: (address) => app.get('trust proxy fn')(address, 0) as boolean,
      classes: withSharedPrototypes(app),
    });
    return {
      url: server.url,
      counts: server.counts,
      async stop() {
        await server.close();
        await deliveryWorkflows.settled();
        services.settling.stop();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

async function prepare(db: Database, config: Config): Promise<void> {
  await assertMigrated(db.pool);
  await ensurePartitions(db.pool, Date.now());
  if (config.POSTHORN_BOOTSTRAP_KEY) await ensureTenantKey(db.kysely, BOOTSTRAP_TENANT, config.POSTHORN_BOOTSTRAP_KEY);
}
