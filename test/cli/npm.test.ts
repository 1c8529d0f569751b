import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDatabase, queryOnce } from '../support/database';
import { testEnvironment } from '../support/environment';
import { until } from '../support/until';

/**
 * Commands as people start them: by npm and npx, which put a shell between. A signal to npm reaches that shell only, and
 * dash ends of it without a word.
 */
const ROOT = path.join(__dirname, '..', '..');
/** Below the limit of a test, so that the message says what was waited for. */
const LIMIT_MS = 150_000;
const DASH = ['/bin/dash', '/usr/bin/dash', '/bin/sh'].find(existsSync)!;

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let settings: Record<string, string>;
const folder = mkdtempSync(path.join(tmpdir(), 'posthorn-test-'));
const started: ChildProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  settings = { ...testEnvironment(database.url), POSTHORN_LOG_LEVEL: 'info' };
});
afterAll(async () => {
  for (const { pid } of started) killGroup(pid!); // what a failed test has left
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended, with all that it started.
  }
}

type Started = {
  child: ChildProcess;
  /** What it and those that it started have printed. */
  printed(): string;
  /** Resolves once all of them have ended: until then one of them has its end of the pipe. */
  ended: Promise<unknown>;
};

function start(command: string, args: string[], env: Record<string, string>): Started {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(command, args, {
    cwd: ROOT,
    // A group of its own, so that nothing of it is left behind by a test that fails.
    detached: true,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let printed = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (printed += chunk));
  return { child, printed: () => printed, ended: once(child, 'close') };
}

/** What the pattern's group takes of what was printed, once it is there. */
function untilPrinted({ child, printed }: Started, pattern: RegExp): Promise<string> {
  const look = () => {
    const found = pattern.exec(printed())?.[1];
    if (found !== undefined || child.exitCode === null) return found;
    throw new Error(`it ended without ${pattern}: ${printed()}`);
  };
  return until(`${pattern}`, look, LIMIT_MS);
}

const isServed = (url: string) =>
  fetch(`${url}/livez`).then(
    ({ ok }) => ok,
    () => false,
  );

/** Only /proc says that the parent of the shell is another one. */
const KILLED: [NodeJS.Signals, string][] = existsSync('/proc/self/stat') ? [['SIGKILL', 'api']] : [];

test.each<[NodeJS.Signals, string]>([['SIGTERM', 'api'], ['SIGHUP', 'api'], ['SIGTERM', 'worker'], ...KILLED])(
  '%s to `npx posthorn %s` under dash ends it',
  async (signal, role) => {
    const npx = start('npx', ['posthorn', role], { ...settings, npm_config_script_shell: DASH });
    await untilPrinted(npx, new RegExp(`("event":"${role}_ready")`));
    const url = role === 'api' ? /"url":"([^"]+)"/.exec(npx.printed())![1]! : undefined;
    if (url) expect(await isServed(url)).toBe(true);
    npx.child.kill(signal);
    await npx.ended;
    if (url) expect(await isServed(url)).toBe(false);
  },
);

test('Ctrl-C, which every process of the terminal gets, ends `npx posthorn api` in order', async () => {
  const npx = start('npx', ['posthorn', 'api'], { ...settings, npm_config_script_shell: DASH });
  const url = await untilPrinted(npx, /"event":"api_ready".*"url":"([^"]+)"/);
  process.kill(-npx.child.pid!, 'SIGINT');
  await npx.ended;
  expect(await isServed(url)).toBe(false);
});

test('`npm start` under dash prints what works as printed, and SIGTERM to npm ends all that it started', async () => {
  const { DATABASE_URL: _embedded, POSTHORN_BOOTSTRAP_KEY: _own, ...rest } = settings;
  const npm = start('npm', ['start', '--', '--data-dir', folder], { ...rest, npm_config_script_shell: DASH });
  await untilPrinted(npm, /(Ctrl-C stops everything)/);
  const out = npm.printed();
  const printed = (name: string) => new RegExp(`^  ${name} +(\\S+)`, 'm').exec(out)![1]!;
  expect(out).toMatch(/^Delivered posthorn\.greeting evt_\w+ to the inbox in \d+ ms, signature verified:/m);

  const postgres = printed('Postgres');
  expect(await queryOnce(postgres, 'select count(*)::int as n from webhooks')).toEqual([{ n: 1 }]);
  expect((await fetch(printed('Docs'))).headers.get('content-type')).toMatch(/^text\/html/);
  const authorization = `Bearer ${printed('API key')}`;
  const seeded = await fetch(`${printed('API')}/event-types/seed`, { method: 'POST', headers: { authorization } });
  expect(seeded.status).toBeLessThan(300);
  const next = /^Publish the next one:\n(.*?)\n\n/ms.exec(out)![1]!;
  const curl = spawn('sh', ['-c', next], { stdio: ['ignore', 'pipe', 'ignore'] });
  expect(JSON.parse(await text(curl.stdout))).toMatchObject({ type: 'order.created', deliveries: 1 });

  const { serverPid } = JSON.parse(readFileSync(path.join(folder, 'postgres.running'), 'utf8'));
  npm.child.kill('SIGTERM');
  await npm.ended;
  expect(npm.printed()).toMatch(/^Stopped\.$/m);
  expect(existsSync(`/proc/${serverPid}/cmdline`) && readFileSync(`/proc/${serverPid}/cmdline`).length > 0).toBe(false);
  await expect(queryOnce(postgres, 'select 1')).rejects.toThrow();
});

test('what npm did not start stays when its parent ends: it may have been sent to the background', async () => {
  const main = path.join(ROOT, 'dist', 'src', 'cli', 'main.js');
  const shell = start('sh', ['-c', `"${process.execPath}" "${main}" api & echo "pid $!"; wait`], settings);
  const pid = Number(await untilPrinted(shell, /^pid (\d+)$/m));
  await untilPrinted(shell, /("event":"api_ready")/);
  shell.child.kill('SIGKILL');
  await once(shell.child, 'exit');
  await sleep(1_000); // four looks of one that npm started
  expect(await isServed(/"url":"([^"]+)"/.exec(shell.printed())![1]!)).toBe(true);
  process.kill(pid, 'SIGTERM');
  await shell.ended;
});
