import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { temporalBinary } from '../../src/embedded/temporal-binary';
import { timeSkippingServerPath } from '../../src/embedded/time-skipping-server';

jest.setTimeout(180_000);

/** In the value of every secret that a shell may hold. */
const MARK = 'a5ecret-that-stays-here';
const SECRETS = {
  POSTHORN_ENCRYPTION_KEYS: `k1:${MARK}`,
  POSTHORN_BOOTSTRAP_KEY: MARK,
  POSTHORN_API_KEY: MARK,
  DATABASE_URL: `postgres://me:${MARK}@127.0.0.1/x`,
  PGPASSWORD: MARK,
  TEMPORAL_API_KEY: MARK,
  AWS_SECRET_ACCESS_KEY: MARK,
  GITHUB_TOKEN: MARK,
  NPM_TOKEN: MARK,
  SOME_LATER_SECRET: MARK,
};
const before = { ...process.env };
const folder = mkdtempSync(path.join(tmpdir(), 'posthorn-test-'));
const root = path.join(__dirname, '..', '..');

beforeAll(() => Object.assign(process.env, SECRETS));
afterAll(() => {
  for (const name of Object.keys(SECRETS)) delete process.env[name];
  Object.assign(process.env, before);
  rmSync(folder, { recursive: true, force: true });
});

const onLinux = existsSync('/proc/self/environ') ? describe : describe.skip;

/** This process and all below it, by their parents in /proc. */
function descendants(of: number): number[] {
  const parents = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return [{ pid: Number(name), parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) }];
    } catch {
      return []; // it has ended meanwhile
    }
  });
  const below = (pid: number): number[] =>
    parents.filter(({ parent }) => parent === pid).flatMap((child) => [child.pid, ...below(child.pid)]);
  return below(of);
}

/** Starts one of the servers, says its process, and stops it when its standard input ends. */
const STARTER = `
const [file, name, options] = process.argv.slice(1);
require(file)[name](JSON.parse(options)).then((server) => {
  console.log(server.pid);
  process.stdin.resume().on('end', () => server.stop().then(() => process.exit(0)));
});
`;

onLinux('embedded servers, and those that watch over them, inherit no secret', () => {
  test.each([
    ['postgres', 'startPostgres', { ephemeral: true }],
    ['temporal', 'startTemporal', {}],
  ])('%s', async (file, name, options) => {
    // In a process of its own: what a test sets in its environment is not in that of jest.
    const compiled = path.join(root, 'dist', 'src', 'embedded', `${file}.js`);
    const starter = spawn(process.execPath, ['-e', STARTER, compiled, name, JSON.stringify(options)], {
      env: { ...process.env, ...SECRETS },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const closed = once(starter, 'close');
    try {
      const [said] = (await once(starter.stdout, 'data')) as [Buffer];
      const pids = descendants(starter.pid!);
      expect(pids).toContain(Number(said.toString()));
      expect(pids.length).toBeGreaterThanOrEqual(2); // the guardian
      for (const pid of pids) {
        let environment = '';
        try {
          environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
        } catch {
          continue; // a backend that has ended
        }
        expect(environment).not.toContain(MARK);
      }
    } finally {
      starter.stdin.end();
      await closed;
    }
  });
});

/** A program that writes its environment to `<name>.env` beside the cache, and fails. */
function spy(bin: string, name: string, body = 'exit 1'): void {
  mkdirSync(bin, { recursive: true });
  writeFileSync(path.join(bin, name), `#!/bin/sh\nenv >> "${folder}/${name}.env"\n${body}\n`);
  chmodSync(path.join(bin, name), 0o755);
}

test('what fetches and builds inherits no secret, and what it needs to do so', async () => {
  const bin = path.join(folder, 'bin');
  spy(bin, 'temporal');
  spy(bin, 'go', 'case "$1" in version) exit 0;; esac; exit 1');
  spy(bin, 'java', 'exit 0');
  spy(bin, 'mvn', 'case "$1" in --version) exit 0;; esac; exit 1');
  const env = {
    ...SECRETS,
    PATH: `${bin}:/usr/bin:/bin`,
    HOME: folder,
    XDG_CACHE_HOME: path.join(folder, 'cache'),
    HTTPS_PROXY: 'http://127.0.0.1:9',
    https_proxy: 'http://127.0.0.1:9',
    GOPROXY: 'https://proxy.example.com',
    MAVEN_OPTS: '-Xmx1g',
  };
  await expect(temporalBinary(undefined, env)).rejects.toThrow('Temporal was not found');
  await expect(timeSkippingServerPath(undefined, env)).rejects.toThrow('could not be fetched');
  for (const name of ['temporal', 'go', 'java', 'mvn']) {
    const seen = readFileSync(path.join(folder, `${name}.env`), 'utf8');
    expect(seen).toContain(`HOME=${folder}`);
    expect(seen).not.toContain(MARK);
  }
  expect(readFileSync(path.join(folder, 'go.env'), 'utf8')).toContain('GOPROXY=https://proxy.example.com');
  expect(readFileSync(path.join(folder, 'mvn.env'), 'utf8')).toContain('MAVEN_OPTS=-Xmx1g');
});

test('what scripts start gets no secrets of ours', () => {
  const script = `import { toolEnv } from './scripts/child-env.mjs'; console.log(JSON.stringify(toolEnv('OWN')))`;
  const options = { cwd: root, env: { ...process.env, OWN: 'own' }, encoding: 'utf8' } as const;
  const given = execFileSync(process.execPath, ['--input-type=module', '--eval', script], options);
  expect(given).not.toContain(MARK);
  expect(JSON.parse(given)).toMatchObject({ PATH: process.env.PATH, OWN: 'own' });
});

describe('every call that starts a program says what environment it gets', () => {
  const files = ['src', 'scripts', 'bench'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|mjs)$/.test(file))
      .map((file) => path.join(folder, file)),
  );
  const starting = files.flatMap((file) => {
    const source = readFileSync(path.join(root, file), 'utf8');
    if (!source.includes("'node:child_process'")) return [];
    const calls = [...source.matchAll(/(?<![.\w])(spawn|spawnSync|execFile|execFileSync|execSync|fork)\(/g)];
    return calls.map((call) => [file, toItsEnd(source.slice(call.index))] as const);
  });

  test('there are such calls', () => expect(starting.length).toBeGreaterThan(10));
  test.each(starting)('%s: %s', (_file, call) => expect(call).toMatch(/\benv\b/));

  function toItsEnd(text: string): string {
    let open = 0;
    for (let at = text.indexOf('('); at < text.length; at++) {
      if (text[at] === '(') open++;
      if (text[at] === ')' && --open === 0) return text.slice(0, at + 1);
    }
    return text;
  }
});
