import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { generateApiKey } from '../src/db/api-keys';
import { migrateToLatest } from '../src/db/migrate';
import { temporaryDataDir } from '../src/embedded/folders';
import { startPostgres } from '../src/embedded/postgres';
import { startTemporal } from '../src/embedded/temporal';
import { requireSameClock } from './clock';
import { cpuMs, memoryMb } from './cpu';
import { type Database, openDatabase } from './database';
import { ownVersions } from './machine';
import { type BenchProcess, startProcess, startRole } from './processes';
import type { ReceiverMethods } from './receiver';
import { type Remote, remote } from './remote';
import type { Profiled } from './scenario';
import { createPosthornTarget, EVENT_TYPE, type Target } from './target';

/** A 202 means that the event is on disk: what an ephemeral Postgres leaves out is measured here. */
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };

export type RigOptions = {
  /** Publishing connections. */
  connections: number;
  /** Where `profiled` writes its CPU profile when it ends. */
  cpuProf?: string | undefined;
  profiled: Profiled;
  say: (line: string) => void;
};

/** Milliseconds or MB by process. */
export type ByProcess = Record<'api' | 'worker' | 'temporal' | 'postgres' | 'receiver' | 'harness', number>;

/** Everything that runs while a scenario measures, each part in a process of its own. */
export type Rig = {
  target: Target;
  receiver: Remote<ReceiverMethods>;
  /** One more webhook that the receiver counts, at a path of its own; its id. The path `/` takes `EVENT_TYPE`. */
  receive(path: string, type: string): Promise<string>;
  database: Database;
  temporalAddress: string;
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
export async function startRig({ connections, cpuProf, profiled, say }: RigOptions): Promise<Rig> {
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
    say('Starting Postgres and Temporal');
    const postgres = await startPostgres({ ephemeral: true, dataDir: file('postgres'), settings: DURABLE });
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
      ...given,
      POSTHORN_BOOTSTRAP_KEY: apiKey,
      POSTHORN_ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
      DATABASE_URL: postgres.url,
      TEMPORAL_ADDRESS: temporal.address,
    };
    const role = async (name: Profiled) => {
      const profile = cpuProf && name === profiled;
      const nodeArgs = profile ? ['--cpu-prof', `--cpu-prof-dir=${path.resolve(cpuProf)}`] : [];
      return own(await startRole(name, { env, nodeArgs, logFile: file(`${name}.log`) }));
    };
    const worker = await role('worker');
    const api = await role('api');
    const receiverProcess = start('receiver');
    const receiver = remote<ReceiverMethods>(receiverProcess.child);
    const target = createPosthornTarget(api.url!, apiKey, connections);
    stops.push(() => target.close());
    const receiverUrl = await receiver('listen');
    await requireSameClock('the receiver', () => receiver('now'));
    const receive = async (path: string, type: string) => {
      const { id, secret } = await target.registerWebhook(receiverUrl + path, [type]);
      await receiver('expectWebhook', path, secret);
      return id;
    };
    await receive('/', EVENT_TYPE);

    const pids = {
      api: api.pid,
      worker: worker.pid,
      temporal: temporal.pid,
      postgres: postgres.pid,
      receiver: receiverProcess.pid,
    };
    const each = (measure: (pid: number) => number) =>
      Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, measure(pid)])) as Omit<ByProcess, 'harness'>;
    return {
      target,
      receiver,
      receive,
      database,
      temporalAddress: temporal.address,
      say,
      cpu: () => ({ ...each(cpuMs), harness: ownCpuMs() }),
      memory: () => ({ ...each(memoryMb), harness: process.memoryUsage.rss() / 2 ** 20 }),
      start,
      environment: given,
      file,
      settings: {
        connections,
        postgres: { ...DURABLE },
        temporal: 'dev server in memory',
        environment: given,
        ...(cpuProf && { cpu_prof: `the ${profiled} ran under the profiler: figures are lower` }),
      },
      versions: { ...ownVersions(), ...(await serverVersions(database, temporal.address)) },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
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
