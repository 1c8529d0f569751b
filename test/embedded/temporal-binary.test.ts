import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cachedName, temporalBinary } from '../../src/embedded/temporal-binary';

let folder: string;
let env: NodeJS.ProcessEnv;
let progress: string[];
const onProgress = (line: string) => progress.push(line);

/** A script that exits with `status`, in a folder of its own. */
function script(path: string, body = 'exit 0'): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Counts its builds in a file beside the cache, and "builds" a script. */
const FAKE_GO = `
case "$1" in version) exit 0;; esac
echo build >> "$XDG_CACHE_HOME/../count"
while [ "$1" != -o ]; do shift; done
sleep 0.5
printf '#!/bin/sh\\nexit 0\\n' > "$2"; chmod +x "$2"`;

const cached = () => join(env.XDG_CACHE_HOME as string, 'posthorn', cachedName(), 'temporal');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-test-'));
  progress = [];
  env = {
    PATH: [join(folder, 'bin'), '/usr/bin', '/bin'].join(':'),
    XDG_CACHE_HOME: join(folder, 'cache'),
    // the SDK's download must fail at once, also where the network would let it pass
    HTTPS_PROXY: 'http://127.0.0.1:9',
    https_proxy: 'http://127.0.0.1:9',
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('TEMPORAL_CLI_PATH comes before PATH and the cache', async () => {
  env.TEMPORAL_CLI_PATH = script(join(folder, 'named'));
  script(join(folder, 'bin', 'temporal'));
  script(cached());
  expect(await temporalBinary(onProgress, env)).toBe(env.TEMPORAL_CLI_PATH);
});

test('a TEMPORAL_CLI_PATH that does not run is reported and passed over; PATH comes before the cache', async () => {
  env.TEMPORAL_CLI_PATH = script(join(folder, 'named'), 'exit 1');
  const onPath = script(join(folder, 'bin', 'temporal'));
  script(cached());
  expect(await temporalBinary(onProgress, env)).toBe(onPath);
  expect(progress).toEqual([expect.stringContaining('TEMPORAL_CLI_PATH')]);
});

test('a `temporal` on PATH that does not run is passed over for the cached one', async () => {
  script(join(folder, 'bin', 'temporal'), 'exit 1');
  script(cached());
  expect(await temporalBinary(onProgress, env)).toBe(cached());
});

test('two processes that need it at once build it once, and later ones find it', async () => {
  script(join(folder, 'bin', 'go'), FAKE_GO);
  expect(await Promise.all([temporalBinary(onProgress, env), temporalBinary(onProgress, env)])).toEqual([
    cached(),
    cached(),
  ]);
  expect(await temporalBinary(onProgress, env)).toBe(cached());
  expect(readFileSync(join(folder, 'count'), 'utf8')).toBe('build\n');
  expect(progress).toContainEqual(expect.stringContaining('expect a few minutes'));
});

test('a lock whose holder has died is taken over', async () => {
  script(join(folder, 'bin', 'go'), FAKE_GO);
  mkdirSync(dirname(cached()), { recursive: true });
  writeFileSync(`${cached()}.lock`, '999999999');
  expect(await temporalBinary(onProgress, env)).toBe(cached());
  expect(existsSync(`${cached()}.lock`)).toBe(false);
});

test('without any, one error names all five ways; what failed leaves nothing behind', async () => {
  script(join(folder, 'bin', 'go'), 'case "$1" in version) exit 0;; esac; echo "no disk" >&2; exit 1');
  const failure = (await temporalBinary(onProgress, env).catch((error: Error) => error)) as Error;
  for (const way of ['TEMPORAL_ADDRESS', 'TEMPORAL_CLI_PATH', cached(), 'download server', 'install Go', 'no disk']) {
    expect(failure.message).toContain(way);
  }
  expect(existsSync(cached())).toBe(false);
  expect(existsSync(`${cached()}.draft`)).toBe(false);
});
