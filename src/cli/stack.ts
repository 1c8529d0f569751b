import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Router } from 'express';
import { type RunningApi, startApi } from '../api/start-api';
import { type Config, readConfig } from '../config';
import { migrateToLatest } from '../db/migrate';
import { closeDataFolder, defaultDataDir, temporaryDataDir } from '../embedded/folders';
import { assertPortFree, freePort } from '../embedded/ports';
import { startPostgres } from '../embedded/postgres';
import { startWatchedTemporal, type WatchSettings } from '../embedded/watched-temporal';
import { createLog, type Log, logFile } from '../log';
import { startMetrics } from '../metrics/start-metrics';
import { startWorker } from '../worker/start-worker';
import { isEnded, readDevKeys, withGoodApiKey } from './dev-keys';
import { explainUnreachable } from './explain';
import { atAddress, localAddress, localBlocks } from './local-address';
import { isEveryInterface, sayWarnings, startWarnings } from './start-warnings';

export type StackOptions = {
  dataDir?: string | undefined;
  ephemeral?: boolean | undefined;
  postgresPort?: number | undefined;
  temporalPort?: number | undefined;
  /** Of Temporal's web UI; `usual`: 8233, or a free one if that is in use. Without it there is none. */
  temporalUiPort?: number | 'usual' | undefined;
  router?: Router;
  say: (line: string) => void;
  /** Settings that win over defaults but not over the environment. */
  defaults?: NodeJS.ProcessEnv;
};

export type Stack = {
  config: Config;
  api: RunningApi;
  /** The base URL for people: of every interface that of 127.0.0.1. */
  url: string;
  /** The same by address, for this machine itself. */
  localUrl: string;
  /** Where deliveries reach the router's inbox. */
  inboxUrl: string;
  apiKey: string;
  dataDir: string;
  databaseUrl: string;
  /** The database is embedded, and its password ours. */
  ownPostgres: boolean;
  metricsUrl: string | undefined;
  /** Rejects if the worker failed. */
  ended: Promise<void>;
  /** Tells the worker that there is something to claim. */
  nudge(): void;
  stop(): Promise<void>;
};

/** `npm start` promises to end within 15 s, embedded servers included. */
const DEV_GRACE = '3s';

/**
 * Everything in this process, on embedded servers if no address is configured. What was started is stopped in
 * reverse order, even if a later step fails.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { say } = options;
  const given = readConfig({ ...options.defaults, ...withoutEmpty(process.env) });
  // Before anything slow: a second `npm start` should say so at once.
  if (given.POSTHORN_PORT > 0) await assertPortFree(given.POSTHORN_PORT, 'The API', 'POSTHORN_PORT');
  if (given.POSTHORN_ADMIN_PORT) await assertPortFree(given.POSTHORN_ADMIN_PORT, 'the metrics', 'POSTHORN_ADMIN_PORT');
  const dataDir = options.dataDir ?? (options.ephemeral ? temporaryDataDir() : defaultDataDir());
  if (!closeDataFolder(dataDir)) {
    say(
      `${dataDir} holds other things as well, and is left as open as it is: it holds keys, so give it to nobody else.`,
    );
  }
  const log = createLog(given.POSTHORN_LOG_LEVEL, logFile(path.join(dataDir, 'posthorn.log')));
  sayWarnings(startWarnings(given, process.env), log, say);
  const keysFile = path.join(dataDir, 'dev-keys.json');
  const keys = readDevKeys(keysFile, say);
  const stops: (() => Promise<unknown>)[] = [];
  if (options.ephemeral && !options.dataDir) stops.push(() => rm(dataDir, { recursive: true, force: true }));
  const stop = async () => {
    for (const step of stops.splice(0).reverse()) await step().catch((error: Error) => say(`  ${error.message}`));
  };
  try {
    const servers = await startServers(given, dataDir, options, stops, log);
    const address = await localAddress(given.POSTHORN_HOST);
    const settingsWith = (apiKey: string) =>
      readConfig({
        POSTHORN_ALLOW_HTTP: 'true',
        POSTHORN_ALLOW_WEAK_SECRETS: 'true',
        POSTHORN_SHUTDOWN_GRACE: DEV_GRACE,
        POSTHORN_BOOTSTRAP_KEY: apiKey,
        POSTHORN_ENCRYPTION_KEYS: keys.encryptionKeys,
        ...options.defaults,
        ...withoutEmpty(process.env),
        // Whatever else is allowed; what is denied stays denied.
        POSTHORN_ALLOWED_CIDRS: [...given.POSTHORN_ALLOWED_CIDRS, ...localBlocks(address)].join(','),
        ...servers,
      });
    say('Migrating the database');
    await migrateToLatest(servers.DATABASE_URL).catch(explainUnreachable(settingsWith(keys.apiKey)));
    const { apiKey } = given.POSTHORN_BOOTSTRAP_KEY
      ? { apiKey: await sayIfEnded(given.POSTHORN_BOOTSTRAP_KEY, servers.DATABASE_URL, say) }
      : await withGoodApiKey(keysFile, keys, servers.DATABASE_URL, say);
    const config = settingsWith(apiKey);
    say('Starting worker and API');
    // Both roles are in this process: they share its metrics and their port.
    const metrics = await startMetrics(config, log);
    if (metrics) stops.push(metrics.stop);
    const worker = await startWorker(config, log, { registry: metrics?.registry }).catch(explainUnreachable(config));
    stops.push(worker.stop);
    const api = await startApi(config, log, {
      ...(options.router && { router: options.router }),
      onWork: worker.nudge,
    });
    stops.push(api.stop);
    return {
      config,
      api,
      url: isEveryInterface(config.POSTHORN_HOST) ? atAddress(api.url, address) : api.url,
      localUrl: atAddress(api.url, address),
      inboxUrl: `${atAddress(api.url, address)}/inbox`,
      apiKey,
      dataDir,
      databaseUrl: servers.DATABASE_URL,
      ownPostgres: given.DATABASE_URL === undefined,
      metricsUrl: metrics?.url,
      ended: worker.ended,
      nudge: worker.nudge,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startServers(
  given: Config,
  dataDir: string,
  options: StackOptions,
  stops: (() => Promise<unknown>)[],
  log: Log,
): Promise<{ DATABASE_URL: string; TEMPORAL_ADDRESS: string; TEMPORAL_UI_URL?: string }> {
  const { say, ephemeral } = options;
  let databaseUrl = given.DATABASE_URL;
  if (!databaseUrl) {
    say('Starting embedded Postgres');
    const postgres = await startPostgres({
      ...(ephemeral ? { ephemeral } : { dataDir: path.join(dataDir, 'postgres') }),
      ...(options.postgresPort && { port: options.postgresPort }),
      onProgress: say,
    });
    stops.push(postgres.stop);
    databaseUrl = postgres.url;
  }
  if (given.TEMPORAL_ADDRESS) return { DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: given.TEMPORAL_ADDRESS };
  say('Starting embedded Temporal');
  const temporal = await startWatchedTemporal(
    {
      ...(!ephemeral && { dbFile: path.join(dataDir, 'temporal.db') }),
      ...(options.temporalPort && { port: options.temporalPort }),
      uiPort: options.temporalUiPort === 'usual' ? await usualUiPort(say) : (options.temporalUiPort ?? 'off'),
      namespace: given.TEMPORAL_NAMESPACE,
      onProgress: say,
    },
    sayRestarts(log, say),
  );
  stops.push(temporal.stop);
  return {
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporal.address,
    ...NO_CLUSTER,
    ...(temporal.uiUrl && { TEMPORAL_UI_URL: temporal.uiUrl }),
  };
}

const TEMPORAL_UI_PORT = 8233;

/** Nobody asked for this very port. */
async function usualUiPort(say: (line: string) => void): Promise<number> {
  try {
    await assertPortFree(TEMPORAL_UI_PORT, "Temporal's web UI", '--temporal-ui-port');
    return TEMPORAL_UI_PORT;
  } catch {
    const port = await freePort();
    say(`Port ${TEMPORAL_UI_PORT} is in use: Temporal's web UI is on ${port}.`);
    return port;
  }
}

/** The embedded server has no TLS and asks for no key: what the shell holds for a cluster is not meant for it. */
const NO_CLUSTER = { TEMPORAL_TLS: '', TEMPORAL_TLS_CERT_FILE: '', TEMPORAL_TLS_KEY_FILE: '', TEMPORAL_API_KEY: '' };

function sayRestarts(log: Log, say: (line: string) => void): WatchSettings {
  return {
    onRestart(why) {
      log.warn({ event: 'temporal_restarting', err: why });
      say(`Restarting the embedded Temporal: ${why}`);
    },
    onRestarted() {
      log.info({ event: 'temporal_restarted' });
      say('The embedded Temporal works again');
    },
    onNotRestarted(why) {
      log.warn({ event: 'temporal_not_restarted', err: why });
      say(`The embedded Temporal could not be restarted, and is tried again: ${why}`);
    },
  };
}

/** Returns the key that the environment names, which is not ours to replace. */
async function sayIfEnded(apiKey: string, databaseUrl: string, say: (line: string) => void): Promise<string> {
  if (await isEnded(apiKey, databaseUrl)) {
    say('Warning: the key of POSTHORN_BOOTSTRAP_KEY was revoked or has expired. Set another one, or none.');
  }
  return apiKey;
}

function withoutEmpty(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}
