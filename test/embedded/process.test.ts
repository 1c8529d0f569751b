import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../../src/embedded/leftover';
import { startServerProcess } from '../../src/embedded/process';

const folder = mkdtempSync(join(tmpdir(), 'posthorn-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const compiled = join(__dirname, '../../dist/src/embedded/process.js');

/** A server that writes `ready` and then, on SIGTERM, `stopped`, into its log. */
const server = (name: string) => ({
  name,
  command: '/bin/sh',
  args: ['-c', 'trap "echo stopped; exit 0" TERM; echo ready; while :; do sleep 0.05; done'],
  env: { PATH: process.env.PATH },
  logFile: join(folder, `${name}.log`),
  stopSignal: 'SIGTERM' as const,
});

async function until(condition: () => boolean, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${condition}`);
    await sleep(20);
  }
}

test('kill -9 of the parent stops the server and deletes what was to go', async () => {
  const leftover = join(folder, 'data');
  mkdirSync(leftover);
  writeFileSync(join(leftover, 'file'), '');
  const options = { ...server('orphan'), removeAfter: [leftover] };
  const script = `require(process.argv[1]).startServerProcess(JSON.parse(process.argv[2])).then((s) => console.log(s.pid))`;
  const parent = spawn(process.execPath, ['-e', script, compiled, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isAlive(pid));
  await until(() => !existsSync(leftover));
});

test('Ctrl-C in the terminal does not reach the server', async () => {
  const script = `require(process.argv[1]).startServerProcess(JSON.parse(process.argv[2])).then((s) => {
    process.on('SIGINT', () => s.exited.then(() => {}));
    console.log(s.pid);
  })`;
  const parent = spawn(process.execPath, ['-e', script, compiled, JSON.stringify(server('group'))], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true, // a process group of its own, as under a shell
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  process.kill(-(parent.pid as number), 'SIGINT');
  await sleep(300); // that nothing happens cannot be awaited
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isAlive(pid));
});

test('stop is orderly, and may be called twice', async () => {
  const options = server('orderly');
  const started = await startServerProcess(options);
  await until(() => existsSync(options.logFile) && readLog(options.logFile).includes('ready'));
  await Promise.all([started.stop(), started.stop()]);
  expect(await started.exited).toEqual({ code: 0, signal: null });
  expect(readLog(options.logFile)).toContain('stopped');
});

test('a server that does not listen is killed', async () => {
  const options = { ...server('deaf'), args: ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done'] };
  const started = await startServerProcess(options);
  await until(() => existsSync(options.logFile) && readLog(options.logFile).includes('ready'));
  await started.stop();
  expect(await started.exited).toEqual({ code: null, signal: 'SIGKILL' });
}, 20_000);

test('a command that is not there is named', async () => {
  await expect(startServerProcess({ ...server('Nothing'), command: '/no/such/program' })).rejects.toThrow(
    /Nothing did not start: \/no\/such\/program: .*ENOENT/,
  );
});

function readLog(file: string): string {
  return readFileSync(file, 'utf8');
}
