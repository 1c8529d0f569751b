import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import { serverEnv } from './child-env';
import { makeFolder } from './folders';
import { noteRunning, releaseData } from './leftover';
import { assertPortFree, freePort } from './ports';
import { type EmbeddedServer, startServerProcess, waitUntilReady } from './process';
import { temporalBinary } from './temporal-binary';

export type EmbeddedTemporal = EmbeddedServer & {
  /** host:port of the gRPC frontend. */
  readonly address: string;
  /** The web UI; absent when it is off. */
  readonly uiUrl?: string;
};

export type TemporalOptions = {
  /** A free one by default. */
  port?: number;
  /** `off` by default. */
  uiPort?: number | 'off';
  /** What the user changes to get other ports, for the message when one is in use. */
  portSetting?: string;
  uiPortSetting?: string;
  /** Keeps workflows and timers between starts; absent = in memory. */
  dbFile?: string;
  /** `default` by default. */
  namespace?: string;
  onProgress?: (line: string) => void;
  /** By default beside the database file, else in a temporary folder that is deleted at the end. */
  logFile?: string;
};

const NAME = 'Temporal';
const READY_LIMIT_MS = 60_000;
const PROBE_LIMIT_MS = 2_000;

/** What the dev server runs with beyond its defaults; figures in docs/decisions. */
const DYNAMIC_CONFIG = {
  'history.transferProcessorMaxPollRPS': 100_000, // default 20 a second a shard, and there is one: each hop waits up to 50 ms
  'history.timerProcessorMaxPollRPS': 100_000, // the same for timers
  'history.rps': 20_000, // the defaults are sized for one node of many; here one process is the cluster
  'matching.rps': 20_000,
  'frontend.rps': 20_000,
  'frontend.namespaceRPS': 20_000, // default 2,400: one namespace has it all
  // A delivery that ends at its first attempt is listed once, not twice: its start is not written if it has ended by then.
  'history.visibilityProcessorMaxPollRPS': 1,
  'history.visibilityTaskBatchSize': 2_000, // what one look a second may take
  'system.forceSearchAttributesCacheRefreshOnRead': false, // the CLI's default asks the database at each start
  'matching.numTaskqueueReadPartitions': 1, // more partitions only add hops within one process
  'matching.numTaskqueueWritePartitions': 1,
};

/** Timers must survive a restart, not a power cut: no fsync at each commit. */
const SQLITE_PRAGMAS = ['journal_mode=WAL', 'synchronous=NORMAL'];

/** Less frequent garbage collection: 5-15 % more workflows a second for about 200 MB. */
const GOGC = '400';

/** Starts a Temporal dev server on loopback and waits until its namespace answers. */
export async function startTemporal(options: TemporalOptions = {}): Promise<EmbeddedTemporal> {
  const namespace = options.namespace ?? 'default';
  const dbFile = options.dbFile && resolve(options.dbFile);
  if (dbFile) {
    makeFolder(dirname(dbFile));
    await releaseData(dbFile, { name: NAME, signal: 'SIGTERM' });
  }
  const port = options.port ?? (await freePort());
  await assertPortFree(port, NAME, options.portSetting ?? '--temporal-port');
  const uiPort = options.uiPort ?? 'off';
  if (uiPort !== 'off')
    await assertPortFree(uiPort, "Temporal's web UI", options.uiPortSetting ?? '--temporal-ui-port');

  const command = await temporalBinary(options.onProgress);
  const ownFolder = options.logFile || dbFile ? undefined : mkdtempSync(join(tmpdir(), 'posthorn-temporal-'));
  const logFile = options.logFile ?? (dbFile ? `${dbFile}.log` : join(ownFolder as string, 'log'));
  const server = await startServerProcess({
    name: NAME,
    command,
    args: serverArguments({ port, uiPort, namespace, dbFile }),
    env: { ...serverEnv(), GOGC },
    logFile,
    stopSignal: 'SIGTERM',
    removeAfter: ownFolder ? [ownFolder] : [],
  });
  if (dbFile) noteRunning(dbFile, server.pid);
  const address = `127.0.0.1:${port}`;
  try {
    const probe = () => describeNamespace(address, namespace);
    await waitUntilReady(server, { name: NAME, logFile, limitMs: READY_LIMIT_MS, probe });
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { ...server, address, uiUrl: uiPort === 'off' ? undefined : `http://127.0.0.1:${uiPort}` };
}

function serverArguments(options: {
  port: number;
  uiPort: number | 'off';
  namespace: string;
  dbFile?: string;
}): string[] {
  const { port, uiPort, namespace, dbFile } = options;
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--namespace', namespace],
    ...['--log-level', 'error'],
    ...(uiPort === 'off' ? ['--headless'] : ['--ui-port', String(uiPort)]),
    ...(dbFile ? ['--db-filename', dbFile, ...SQLITE_PRAGMAS.flatMap((pragma) => ['--sqlite-pragma', pragma])] : []),
    // The server refuses a workflow with an unknown one.
    ...Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...Object.entries(DYNAMIC_CONFIG).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
  ];
}

async function describeNamespace(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: PROBE_LIMIT_MS });
  try {
    await connection.withDeadline(Date.now() + PROBE_LIMIT_MS, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  } finally {
    await connection.close();
  }
}
