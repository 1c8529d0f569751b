import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

/** Takes the write lock of a SQLite file and keeps it until its standard input ends. */
const HOLD = `
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
connection.execute('begin immediate')
print('held', flush=True)
sys.stdin.read()
`;

const env = { PATH: process.env.PATH };

/** Node 20 has no SQLite of its own; Python has. */
export const hasSqlite = spawnSync('python3', ['-c', 'import sqlite3'], { env }).status === 0;

/** Keeps every other process from writing to the file, while reading goes on. Resolves to the release. */
export async function lockSqlite(file: string): Promise<() => Promise<void>> {
  const child = spawn('python3', ['-c', HOLD, file], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const held = await Promise.race([once(child.stdout, 'data').then(() => true), closed.then(() => false)]);
  if (!held) throw new Error(`the lock of ${file} was not to be had`);
  return async () => {
    child.stdin.end();
    await closed;
  };
}
