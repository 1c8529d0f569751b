import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import type { Express, Router } from 'express';
import { type Config, ConfigError, requireSetting } from '../config';
import { ensureTenantKey } from '../db/api-keys';
import { type Database, openDatabase } from '../db/database';
import { assertMigrated } from '../db/migrate';
import { ensurePartitions } from '../db/partitions';
import { createPublisher } from '../db/publish-shared';
import { createSecretBox } from '../db/secret-box';
import { parseRateLimit } from '../domain/rate-limit';
import { createAddressPolicy } from '../egress/address-policy';
import { createTargetCheck } from '../egress/check-target';
import type { Log } from '../log';
import { connectionOptions } from '../temporal-options';
import { createApp } from './app';
import { createEngine } from './engine';
import { createNotifier } from './notify';
import { createPublishRules } from './publish-rules';
import { createReplayEngine } from './replay-engine';
import { createVerificationEngine } from './verification-engine';

export type RunningApi = { url: string; stop(): Promise<void> };

/** Slow clients are cut off: headers, whole request, idle keep-alive. */
const CLIENT_LIMITS: ClientLimits = { headersMs: 10_000, requestMs: 30_000 };
const IDLE_LIMIT_MS = 65_000;
/** How often Node looks for slow clients; its own default, 30 s, would let each stay for so much longer. */
const CLIENT_CHECK_MS = 1_000;
/** Requests under way when the process is stopped get this long. */
const CLOSE_LIMIT_MS = 10_000;
/** A name that cannot be looked up in this time is taken as it is: every attempt looks again. */
const REGISTRATION_DNS_LIMIT_MS = 2_000;
/** The tenant of the bootstrap key. */
const BOOTSTRAP_TENANT = 'default';

export type ApiExtras = {
  /** Served before everything else. */
  router?: Router;
  /** Called after a publish, next to the notification: for a relay in the same process. */
  onWork?: () => void;
  clientLimits?: ClientLimits;
};

/** How long a client may take for a request's headers, and for all of it, milliseconds. */
export type ClientLimits = { headersMs: number; requestMs: number };

/**
 * An api process. Starts while Temporal is away: publishing needs Postgres only.
 * @throws where the database cannot be reached or is not migrated, or the port is taken
 */
export async function startApi(config: Config, log: Log, extras: ApiExtras = {}): Promise<RunningApi> {
  const secretBox = createSecretBox(requireSetting(config, 'POSTHORN_ENCRYPTION_KEYS'));
  const db = openDatabase({
    url: requireSetting(config, 'DATABASE_URL'),
    poolSize: config.POSTHORN_DB_POOL_SIZE,
    applicationName: 'posthorn-api',
    planner: 'default',
    onError: (error) => log.warn({ event: 'database_connection_lost', err: error.message }),
  });
  const connection = Connection.lazy(await connectionOptions(config));
  const release = async () => {
    await connection.close();
    await db.close();
  };
  try {
    await prepare(db, config);
    const client = new Client({ connection, namespace: config.TEMPORAL_NAMESPACE });
    const notify = createNotifier(db);
    const services = {
      db,
      secretBox,
      engine: createEngine(client, config.TEMPORAL_NAMESPACE, config.TEMPORAL_UI_URL),
      replays: createReplayEngine(client, config.POSTHORN_TASK_QUEUE),
      publisher: createPublisher(db.pool),
      publishRules: createPublishRules(db),
      verifications: createVerificationEngine(client, config.POSTHORN_TASK_QUEUE),
      log,
      notifyWork: () => {
        extras.onWork?.();
        notify();
      },
      allowHttp: config.POSTHORN_ALLOW_HTTP,
      replayRate: parseRateLimit(config.POSTHORN_REPLAY_RATE)!,
      senderAddresses: config.POSTHORN_SENDER_ADDRESSES,
      checkTarget: createTargetCheck({
        policy: createAddressPolicy({ allowedCidrs: config.POSTHORN_ALLOWED_CIDRS }),
        dnsTimeoutMs: REGISTRATION_DNS_LIMIT_MS,
      }),
    };
    const app = createApp(services, {
      rateLimit: parseRateLimit(config.POSTHORN_API_RATE_LIMIT)!,
      trustedProxies: config.POSTHORN_TRUSTED_PROXIES,
      hsts: config.POSTHORN_HSTS,
      router: extras.router,
    });
    const server = await listen(app, config, extras.clientLimits ?? CLIENT_LIMITS);
    const { port } = server.address() as AddressInfo;
    return {
      url: `http://${config.POSTHORN_HOST}:${port}`,
      async stop() {
        await closeServer(server);
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

function listen(
  app: Express,
  { POSTHORN_HOST: host, POSTHORN_PORT: port }: Config,
  { headersMs, requestMs }: ClientLimits,
): Promise<Server> {
  const connectionsCheckingInterval = Math.min(CLIENT_CHECK_MS, headersMs);
  const server = createServer(
    { headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval },
    app,
  );
  server.keepAliveTimeout = IDLE_LIMIT_MS;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        taken ? new ConfigError(`Port ${port} on ${host} is in use. Stop what uses it, or set POSTHORN_PORT.`) : error,
      );
    });
    server.listen(port, host, () => resolve(server));
  });
}

async function closeServer(server: Server): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_LIMIT_MS);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(cut);
}
