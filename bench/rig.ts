import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { migrateToLatest } from '../src/db/migrate';
import { generateApiKey } from '../src/db/store/api-keys';
import type { DeliveryMode } from '../src/domain/delivery-mode';
import { temporaryDataDir } from '../src/embedded/folders';
import { startPostgres } from '../src/embedded/postgres';
import { startTemporal } from '../src/embedded/temporal';
import { requireSameClock } from './clock';
import { cpuMs, memoryMb } from './cpu';
import { type Database, NO_DATABASE, openDatabase } from './database';
import { createForeignTarget, loadAdapter } from './foreign-target';
import { ownVersions } from './machine';
import { type BenchProcess, startProcess, startRole } from './processes';
import type { ReceiverMethods } from './receiver';
import { type Remote, remote } from './remote';
import { createPosthornTarget, EVENT_TYPE, type Target, type WebhookSettings } from './target';

/** A 202 means that the event is on disk: what an ephemeral Postgres leaves out is measured here. */
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };

export type Profiled = 'api' | 'worker';

export type RigOptions = {
  mode: DeliveryMode;
  /** Worker processes to begin with. */
  workers: number;
  /** Another sender in Posthorn's place: nothing of Posthorn is started. */
  adapter?: string | undefined;
  /** Publishing connections. */
  connections: number;
  /** What does not move for this long has stopped: what had not arrived by then is lost. */
  patienceMs: number;
  /** The folder of another Postgres' programs, such as Debian's. */
  postgres?: string | undefined;
  /** Where `profiled` writes its CPU profile when it ends. */
  cpuProf?: string | undefined;
  profiled: Profiled;
  environment?: ((start: Rig['start']) => Promise<Record<string, string>>) | undefined;
  say: (line: string) => void;
};

/** Milliseconds or MB by process. */
export type ByProcess = Record<'api' | 'worker' | 'temporal' | 'postgres' | 'receiver' | 'harness', number>;

/** Everything that runs while a scenario measures, each part in a process of its own. */
export type Rig = {
  target: Target;
  receiver: Remote<ReceiverMethods>;
  /** One more webhook that the receiver counts, at a path of its own; its id. The path `/` takes `EVENT_TYPE`. */
  receive(path: string, type: string, settings?: WebhookSettings): Promise<string>;
  /** Another sender is measured, by its adapter: all that is known of it is what arrives. */
  foreign: boolean;
  /** It told a secret, so that its signatures are verified. Posthorn always does. */
  signed: boolean;
  patienceMs: number;
  /** Of Posthorn; {@link NO_DATABASE} where another sender is measured. */
  database: Database;
  databaseUrl: string;
  /** Of Posthorn's api, without a path. */
  apiUrl: string;
  /** Of the tenant that the target publishes for. */
  apiKey: string;
  temporalAddress: string;
  /** One more worker process. */
  addWorker(): Promise<void>;
  /** Without a slash at its end; paths of webhooks are added to it. */
  receiverUrl: string;
  say: (line: string) => void;
  /** CPU time used so far. */
  cpu(): ByProcess;
  memory(): ByProcess;
  /** One more Node process, stopped with the others. */
  start(name: string, env?: Record<string, string>): BenchProcess;
  /** Settings of Posthorn that the caller gave by its environment. */
  environment: Record<string, string>;
  file(name: string): string;
  settings: Record<string, unknown>;
  versions: Record<string, string>;
  stop(): Promise<void>;
};

/** Starts servers, roles and receiver. What was started is stopped in reverse order, also where a later step fails. */
export async function startRig(options: RigOptions): Promise<Rig> {
  const { connections, patienceMs, say } = options;
  const folder = temporaryDataDir();
  const file = (name: string) => path.join(folder, name);
  const stops: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const step of stops.splice(0).reverse()) {
      await step().catch((error: Error) => say(`while stopping: ${error.message}`));
    }
  };
  const own = <P extends BenchProcess>(started: P): P => {
    stops.push(started.stop);
    return started;
  };
  const start = (name: string, env?: Record<string, string>) =>
    own(
      startProcess(name, path.join(__dirname, `${name}.js`), [], { logFile: file(`${name}.log`), ...(env && { env }) }),
    );
  try {
    const receiverProcess = start('receiver');
    const receiver = remote<ReceiverMethods>(receiverProcess.child);
    const receiverUrl = await receiver('listen');
    await requireSameClock('the receiver', () => receiver('now'));
    const sender = options.adapter
      ? await startForeign(options.adapter, connections)
      : await startPosthorn(options, { file, own, stops, start });
    const { target } = sender;
    stops.push(() => target.close());
    const receive = async (at: string, type: string, settings?: WebhookSettings) => {
      const { id, secret } = await target.registerWebhook(receiverUrl + at, [type], settings);
      // Null and not undefined: what goes to another process is JSON.
      await receiver('expectWebhook', at, secret ?? null);
      return { id, signed: secret !== undefined };
    };
    const { signed } = await receive('/', EVENT_TYPE);
    const each = (measure: (pid: number) => number) => ({
      ...Object.fromEntries(
        Object.entries(sender.pids()).map(([name, pids]) => [name, pids.reduce((sum, pid) => sum + measure(pid), 0)]),
      ),
      receiver: measure(receiverProcess.pid),
    });
    return {
      ...sender,
      receiver,
      receiverUrl,
      receive: async (at, type, settings) => (await receive(at, type, settings)).id,
      foreign: options.adapter !== undefined,
      signed,
      patienceMs,
      say,
      cpu: () => ({ ...each(cpuMs), harness: ownCpuMs() }) as ByProcess,
      memory: () => ({ ...each(memoryMb), harness: process.memoryUsage.rss() / 2 ** 20 }) as ByProcess,
      start,
      file,
      settings: {
        connections,
        ...sender.settings,
        ...(options.adapter && { signatures: signed ? 'verified' : 'none' }),
        ...(options.cpuProf && { cpu_prof: `the ${options.profiled} ran under the profiler: figures are lower` }),
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What is under load, and what only it can tell. */
type Sender = Pick<
  Rig,
  | 'target'
  | 'database'
  | 'databaseUrl'
  | 'apiUrl'
  | 'apiKey'
  | 'temporalAddress'
  | 'addWorker'
  | 'environment'
  | 'versions'
> & {
  pids(): Record<string, number[]>;
  settings: Record<string, unknown>;
};

async function startForeign(adapterFile: string, connections: number): Promise<Sender> {
  const adapter = await loadAdapter(adapterFile);
  return {
    target: createForeignTarget(adapter, connections, EVENT_TYPE),
    database: NO_DATABASE,
    databaseUrl: '',
    apiUrl: '',
    apiKey: '',
    temporalAddress: '',
    addWorker: async () => undefined,
    environment: {},
    pids: () => ({}),
    settings: { sender: adapter.name, base_url: adapter.baseUrl },
    versions: { [adapter.name]: adapter.version ?? 'unknown' },
  };
}

type Place = {
  file: (name: string) => string;
  own: <P extends BenchProcess>(started: P) => P;
  start: Rig['start'];
  stops: (() => Promise<unknown>)[];
};

async function startPosthorn(
  { mode, workers, connections, postgres: programs, cpuProf, profiled, environment, say }: RigOptions,
  { file, own, start, stops }: Place,
): Promise<Sender> {
  say('Starting Postgres and Temporal');
  const postgres = await startPostgres({
    ...{ ephemeral: true, dataDir: file('postgres'), settings: DURABLE },
    ...(programs && { programs: path.resolve(programs) }),
  });
  stops.push(postgres.stop);
  const temporal = await startTemporal({ logFile: file('temporal.log') });
  stops.push(temporal.stop);
  await migrateToLatest(postgres.url);
  const database = openDatabase(postgres.url);
  stops.push(database.close);

  say('Starting api, worker and receiver');
  const apiKey = generateApiKey('bench');
  const given = settingsFromOutside();
  const env = {
    POSTHORN_ALLOW_HTTP: 'true',
    POSTHORN_ALLOWED_CIDRS: '127.0.0.0/8',
    POSTHORN_SHUTDOWN_GRACE: '3s',
    POSTHORN_PORT: '0',
    POSTHORN_API_RATE_LIMIT: '1000000/1s', // one key makes all the load
    POSTHORN_DELIVERY_MODE: mode,
    ...(await environment?.(start)),
    ...given,
    POSTHORN_BOOTSTRAP_KEY: apiKey,
    POSTHORN_ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    DATABASE_URL: postgres.url,
    TEMPORAL_ADDRESS: temporal.address,
  };
  const role = async (name: Profiled, log: string = name) => {
    const profile = cpuProf && name === profiled;
    const nodeArgs = profile ? ['--cpu-prof', `--cpu-prof-dir=${path.resolve(cpuProf)}`] : [];
    return own(await startRole(name, { env, nodeArgs, logFile: file(`${log}.log`) }));
  };
  const workerPids: number[] = [];
  const addWorker = async () => {
    workerPids.push((await role('worker', `worker-${workerPids.length + 1}`)).pid);
  };
  for (let n = 0; n < workers; n++) await addWorker();
  const api = await role('api');
  return {
    target: createPosthornTarget(api.url!, apiKey, connections),
    database,
    databaseUrl: postgres.url,
    apiUrl: api.url!,
    apiKey,
    temporalAddress: temporal.address,
    addWorker,
    environment: given,
    pids: () => ({ api: [api.pid], worker: workerPids, temporal: [temporal.pid], postgres: [postgres.pid] }),
    settings: { workers, postgres: { ...DURABLE }, temporal: 'dev server in memory', environment: given },
    versions: { ...ownVersions(), ...(await serverVersions(database, temporal.address)) },
  };
}

/** The harness publishes, and its children are measured by themselves. */
function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Settings of Posthorn that the caller's environment gives, to measure what they change. Keys are the rig's own. */
function settingsFromOutside(): Record<string, string> {
  const own = Object.entries(process.env).filter(([name, value]) => /^POSTHORN_(?!.*KEY)/.test(name) && value);
  return Object.fromEntries(own) as Record<string, string>;
}

async function serverVersions(
  database: Database,
  temporalAddress: string,
): Promise<{ postgres: string; temporal: string }> {
  const connection = await Connection.connect({ address: temporalAddress });
  try {
    const { serverVersion } = await connection.workflowService.getSystemInfo({});
    return { postgres: await database.version(), temporal: serverVersion ?? 'unknown' };
  } finally {
    await connection.close();
  }
}
