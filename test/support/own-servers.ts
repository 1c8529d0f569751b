import { rmSync } from 'node:fs';
import path from 'node:path';
import { processTree } from '../../bench/cpu';
import { migrateToLatest } from '../../src/db/migrate';
import { temporaryDataDir } from '../../src/embedded/folders';
import { freePort } from '../../src/embedded/ports';
import { startPostgres } from '../../src/embedded/postgres';
import { startTemporal } from '../../src/embedded/temporal';

/** A server of a test's own, which it may take away and bring back. */
export type OwnServer = {
  /** Again, at the same address and on the data that is there. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Ends it for good, and deletes its data. */
  remove(): Promise<void>;
};

export type OwnPostgres = OwnServer & {
  readonly url: string;
  /** Of the postmaster that runs now. */
  readonly pid: number;
  crash(): Promise<void>;
  /** Stops every process of it in the middle of what it does (SIGSTOP): no end, no error, just silence. */
  freeze(): void;
  /** They go on as if nothing had been. */
  thaw(): void;
};

/** With the tables, and nothing in them. */
export async function startOwnPostgres(settings: Record<string, string> = { fsync: 'off' }): Promise<OwnPostgres> {
  const folder = temporaryDataDir();
  const port = await freePort();
  const start = () =>
    startPostgres({ dataDir: path.join(folder, 'postgres'), port, settings: { shared_buffers: '32MB', ...settings } });
  let server = await start();
  await migrateToLatest(server.url);
  return {
    url: server.url,
    get pid() {
      return server.pid;
    },
    start: async () => {
      server = await start();
    },
    stop: () => server.stop(),
    async crash() {
      server.kill9();
      await server.exited;
    },
    freeze: () => signalAll(server.pid, 'SIGSTOP'),
    thaw: () => signalAll(server.pid, 'SIGCONT'),
    async remove() {
      signalAll(server.pid, 'SIGCONT');
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A postmaster first, so that it starts no more, then its children, each of which is a session of its own. */
function signalAll(postmaster: number, signal: NodeJS.Signals): void {
  for (const pid of processTree(postmaster)) {
    try {
      process.kill(pid, signal);
    } catch {
      // it has ended
    }
  }
}

export type OwnTemporal = OwnServer & {
  readonly address: string;
  readonly pid: number;
  /** Deletes all that it knows, while it is stopped. */
  loseData(): void;
};

/** With its data in a file: it knows its workflows again. */
export async function startOwnTemporal(): Promise<OwnTemporal> {
  const folder = temporaryDataDir();
  const port = await freePort();
  const dbFile = path.join(folder, 'temporal.db');
  const start = () => startTemporal({ dbFile, port });
  let server = await start();
  return {
    address: server.address,
    get pid() {
      return server.pid;
    },
    start: async () => {
      server = await start();
    },
    stop: () => server.stop(),
    loseData() {
      for (const end of ['', '-wal', '-shm']) rmSync(`${dbFile}${end}`, { force: true });
    },
    async remove() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
