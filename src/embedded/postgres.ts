import { rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { makeFolder, temporaryDataDir } from './folders';
import { noteRunning, releaseData } from './leftover';
import { assertPortFree, freePort } from './ports';
import { findPostgres, type PostgresBinaries, tryFolder } from './postgres-binaries';
import { filesOf, postgresEnv, postmasterPid, prepareDataDir } from './postgres-data';
import { closedParent, type PostgresUser, postgresUser } from './postgres-user';
import { type EmbeddedServer, endOfLog, startServerProcess, waitUntilReady } from './process';

export type EmbeddedPostgres = EmbeddedServer & {
  /** Connects as the superuser `posthorn` to the database `posthorn`. */
  readonly url: string;
};

export type PostgresOptions = {
  /** The data folder; password, log and notes stand beside it under the same name. May be absent when ephemeral. */
  dataDir?: string;
  /** A free one by default. */
  port?: number;
  /** What the user changes to get another port, for the message when it is in use. */
  portSetting?: string;
  /** For tests and demos: no fsync, and the data folder is deleted at the end. */
  ephemeral?: boolean;
  onProgress?: (line: string) => void;
  /** Server settings that go above the ones here. */
  settings?: Record<string, string>;
  /** The folder of another PostgreSQL's programs, instead of the first that is found. */
  programs?: string;
};

const NAME = 'PostgreSQL';
const READY_LIMIT_MS = 30_000;
/** After a crash the last backends need a moment before the data folder can be opened again. */
const CRASH_REST_MS = 10_000;
/** A server that starts may not answer at all: it is asked again. */
const PROBE_CONNECT_MS = 2_000;
/** One that is ready does, also when a hundred clients come back at the same time. */
const LOADED_CONNECT_MS = 20_000;

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '', // TCP only: no socket path that is too long or lies in a folder we may not write
  autovacuum_naptime: '5s', // delivery_queue is small and hot: dead rows must go quickly
  max_connections: '200',
  shared_buffers: '256MB',
  synchronous_commit: 'on', // a 202 means that the event is on disk
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/** Nothing here is worth keeping, so nothing needs to reach the disk. */
const EPHEMERAL_SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };

/**
 * Starts PostgreSQL on loopback, on a data folder that is kept between starts. The database `posthorn` is made when
 * it is missing. A server that a killed run left on the folder is stopped first.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = dataFolder(options);
  const user = postgresUser();
  const closed = user && closedParent(dataDir, user);
  if (closed) {
    throw new Error(
      `${NAME} does not run as root, and the user ${user.name} may not enter ${closed}. ` +
        'Choose a folder elsewhere with --data-dir.',
    );
  }
  makeFolder(dirname(dataDir));
  await releaseData(dataDir, { name: NAME, signal: 'SIGINT', otherPid: postmasterPid(dataDir) });
  rmSync(join(dataDir, 'postmaster.pid'), { force: true }); // nobody holds it; its pid may be another program's by now
  const port = options.port ?? (await freePort());
  await assertPortFree(port, NAME, options.portSetting ?? '--postgres-port');

  const binaries = options.programs ? tryFolder(options.programs, user) : findPostgres(user, options.onProgress);
  if (!binaries) throw new Error(`No PostgreSQL runs in ${options.programs}.`);
  const password = prepareDataDir(dataDir, binaries, options, user);
  const url = (database: string) => `postgres://posthorn:${password}@127.0.0.1:${port}/${database}`;
  const server = await startAfterCrash(dataDir, port, binaries, options, user, url('postgres'));
  try {
    await createDatabase(url('postgres'));
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { ...server, url: url('posthorn') };
}

function dataFolder(options: PostgresOptions): string {
  if (options.dataDir) return resolve(options.dataDir);
  if (!options.ephemeral) throw new Error('startPostgres: dataDir is needed unless ephemeral is set.');
  return join(temporaryDataDir(), 'postgres');
}

/** Starts the server; while the folder is still held by what a crash left, once more. */
async function startAfterCrash(
  dataDir: string,
  port: number,
  binaries: PostgresBinaries,
  options: PostgresOptions,
  user: PostgresUser | undefined,
  url: string,
): Promise<EmbeddedServer> {
  const deadline = Date.now() + CRASH_REST_MS;
  const logFile = `${dataDir}.log`;
  for (;;) {
    const server = await startServerProcess({
      name: NAME,
      command: binaries.postgres,
      args: ['-D', dataDir, '-p', String(port), ...settingArguments(options)],
      env: postgresEnv(),
      logFile,
      stopSignal: 'SIGINT', // fast shutdown: ends sessions, writes a checkpoint
      user: user && { uid: user.uid, gid: user.gid },
      removeAfter: !options.ephemeral ? [] : options.dataDir ? filesOf(dataDir) : [dirname(dataDir)],
    });
    noteRunning(dataDir, server.pid);
    try {
      await waitUntilReady(server, {
        name: NAME,
        logFile,
        limitMs: READY_LIMIT_MS,
        probe: () => query(url, 'select 1', PROBE_CONNECT_MS),
      });
      return server;
    } catch (error) {
      const held = endOfLog(logFile, 5).includes('still in use') && Date.now() < deadline;
      if (!held) {
        await server.stop();
        throw error;
      }
      await sleep(200);
    }
  }
}

function settingArguments(options: PostgresOptions): string[] {
  const settings = { ...SETTINGS, ...(options.ephemeral ? EPHEMERAL_SETTINGS : {}), ...options.settings };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function createDatabase(url: string): Promise<void> {
  const found = await query(url, `select 1 from pg_database where datname = 'posthorn'`, LOADED_CONNECT_MS);
  if (found === 0) await query(url, 'create database posthorn', LOADED_CONNECT_MS);
}

async function query(url: string, sql: string, connectMs: number): Promise<number> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: connectMs,
    query_timeout: 10_000,
    options: '-c jit=off',
  });
  client.on('error', () => {}); // also reported by the failing call
  try {
    await client.connect();
    return (await client.query(sql)).rowCount ?? 0;
  } finally {
    await client.end().catch(() => {});
  }
}
