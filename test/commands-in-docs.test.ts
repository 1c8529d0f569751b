import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { greet } from '../src/cli/greeting';
import { createInbox } from '../src/cli/inbox';
import { type Stack, startStack } from '../src/cli/stack';
import { freePort } from '../src/embedded/ports';
import { TestApi } from './support/api';
import { createTestDatabase } from './support/database';
import { testEnvironment } from './support/environment';

/** The commands of the pages, typed in as they stand there, against what `npm start` runs. */
const before = { ...process.env };
const folder = mkdtempSync(path.join(tmpdir(), 'posthorn-test-'));
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let stack: Stack;

beforeAll(async () => {
  database = await createTestDatabase();
  // What is a default in `npm start` is one here, too.
  const { POSTHORN_BOOTSTRAP_KEY: _key, POSTHORN_ALLOWED_CIDRS: _cidrs, ...settings } = testEnvironment(database.url);
  Object.assign(process.env, settings);
  const inbox = createInbox();
  stack = await startStack({ dataDir: path.join(folder, 'data'), router: inbox.router, say: () => undefined });
  expect(await greet(stack, inbox)).toMatchObject({ message: { verified: true } });
  // Whoever comes to the commands may have done this first.
  await new TestApi(stack.url, stack.apiKey).ok('POST', '/event-types/seed');
});
afterAll(async () => {
  await stack?.stop();
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** An HTTP error fails the run, and says which request had it; a variable that nothing has set fails it by `-u`. */
const PRELUDE = `set -u
curl() {
  code=0
  command curl --fail-with-body "$@" || code=$?
  [ $code -ne 22 ] || { echo "REFUSED: curl $*" >&2; kill $$; }
  return $code
}
`;

function commandsOf(page: string, from: string, to: string | undefined, port: number): string {
  const text = readFileSync(path.join(__dirname, '..', page), 'utf8');
  const part = text.slice(text.indexOf(from), to === undefined ? undefined : text.indexOf(to));
  return [...part.matchAll(/^```sh\n(.*?)^```/gms)]
    .map(([, block = '']) => block)
    .join('\n')
    .replaceAll('http://127.0.0.1:8420', stack.url)
    .replaceAll('ph_dev_…', stack.apiKey)
    .replaceAll('9099', String(port));
}

/** Below the limit of a test, so that one that waits for ever says what it has printed. */
const LIMIT_MS = 150_000;

async function type(shell: string, script: string) {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(shell, ['-c', PRELUDE + script], {
    cwd: folder,
    env: { PATH, HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
  });
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const [stdout, stderr, [code]] = await ended;
  return { code: code as number | null, stdout, stderr };
}

test.each([
  // By headings: of the README the three steps after `npm start`.
  ['README.md', 'sh', '### 1. Publish', '## Commands'],
  ['docs/guide.md', 'bash', '# Guide', undefined],
])('every command of %s does what it says in %s, each variable set, on any machine', async (page, shell, from, to) => {
  const commands = commandsOf(page, from, to, await freePort());
  expect(commands.match(/\bcurl -s /g)!.length).toBeGreaterThan(10);
  const { code, stdout, stderr } = await type(shell, `${commands}\necho; echo ALL DONE`);
  expect({ code, stderr, last: stdout.trimEnd().split('\n').at(-1) }).toEqual({
    code: 0,
    stderr: '',
    last: 'ALL DONE',
  });
  expect(stdout).toMatch(/"status":"cancelled"/);
  expect(stdout).not.toMatch(/"code":"[a-z_]+","detail"/);
});
