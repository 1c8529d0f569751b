/**
 * `npm run fuzz`: schemathesis (schemathesis.readthedocs.io) against a stack of its own, from /openapi.json. Looks for
 * 5xx answers, statuses and content types that the document does not name, and bodies that do not match their schema.
 * Exit code 1 where it finds any. Arguments go to `schemathesis run`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolEnv } from './child-env.mjs';
import { allowLoopbackOnly } from './loopback-only.mjs';

const VERSION = '4.32.5';
const INSTALL_LIMIT_MS = 5 * 60_000;
const RUN_LIMIT_SECONDS = 5 * 60;
/** The run ends itself within its limit; where it hangs, it is ended after this. */
const KILL_AFTER_MS = (RUN_LIMIT_SECONDS + 30) * 1_000;
const MAX_EXAMPLES = 40;
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
];
/** Enough that some are left when the fuzzer has deleted others. */
const WEBHOOKS = 40;
const EVENT_TYPES = 40;
const KEYS = 40;
/** Of the operations that are served for administrators. */
const ADMIN_TAG = 'Tenants and keys';
/** How often a path names something that exists. */
const KNOWN_ID_SHARE = 0.8;

const root = fileURLToPath(new URL('..', import.meta.url));
const load = createRequire(import.meta.url);

/** The path of the program; installs it where it is missing. */
function schemathesis() {
  const { cacheDir } = load(join(root, 'dist', 'src', 'embedded', 'folders.js'));
  const folder = join(cacheDir(), `schemathesis-${VERSION}`);
  const program = join(folder, 'bin', 'schemathesis');
  const done = join(folder, 'installed');
  if (existsSync(done)) return program;
  console.log(`Installing schemathesis ${VERSION} from PyPI into ${folder}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  mustRun('python3', ['-m', 'venv', folder]);
  mustRun(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', `schemathesis==${VERSION}`]);
  writeFileSync(done, '');
  return program;
}

function mustRun(command, args) {
  const { status, error } = spawnSync(command, args, { env: toolEnv(), stdio: 'inherit', timeout: INSTALL_LIMIT_MS });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

/** Embedded servers only, whatever this shell is set up for: the fuzzer deletes and cancels what it finds. */
function forgetSettings() {
  for (const name of Object.keys(process.env)) {
    if (/^(POSTHORN_|TEMPORAL_|DATABASE_URL$)/.test(name)) delete process.env[name];
  }
}

/** Things of each kind that paths name, by the name that they have there, so that requests come past "no such thing". */
async function seed({ api, apiKey }, adminKey) {
  const { createApiClient } = load(join(root, 'dist', 'src', 'cli', 'api-client.js'));
  const call = createApiClient(api.url, apiKey);
  const callAsAdmin = createApiClient(api.url, adminKey);
  const ids = { webhook: [], event: [], delivery: [], replay: [], name: [], key: [] };
  const nowhere = { url: 'http://127.0.0.1:9/', events: ['*'] };
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const kinds = [{}, { ordered: true }, { retry_policy: { schedule: [] } }, { active: false }];
  for (let n = 0; n < WEBHOOKS; n++) {
    const settings = kinds[n % kinds.length];
    const { id } = await call('POST', '/webhooks', { ...nowhere, ...settings });
    ids.webhook.push(id);
    ids.replay.push((await call('POST', `/webhooks/${id}/replay`, { since })).id);
  }
  for (let n = 0; n < 5; n++) {
    const { id } = await call('POST', '/events', { type: 'order.created', data: { n } });
    ids.event.push(id);
    const { data } = await call('GET', `/events/${id}/deliveries`);
    ids.delivery.push(...data.map((delivery) => delivery.id));
  }
  for (let n = 0; n < EVENT_TYPES; n++) {
    const { name } = await call('POST', '/event-types', { name: `fuzzed.t${n}` });
    await call('POST', `/event-types/${name}/versions`, { version: 'first', example: { n } });
    ids.name.push(name);
  }
  const { id: tenant_id } = await callAsAdmin('POST', '/tenants', { name: 'fuzzed' });
  for (let n = 0; n < KEYS; n++) {
    ids.key.push((await callAsAdmin('POST', '/api-keys', { tenant_id, scopes: ['read'] })).id);
  }
  return ids;
}

/** An administrator's key; only the command line and other administrators make one. */
async function makeAdminKey({ databaseUrl }) {
  const { openDatabase } = load(join(root, 'dist', 'src', 'db', 'database.js'));
  const { createApiKey } = load(join(root, 'dist', 'src', 'db', 'store', 'administration.js'));
  const db = openDatabase({ url: databaseUrl, poolSize: 1, applicationName: 'posthorn-fuzz', planner: 'default' });
  const wanted = { owner: { kind: 'admin' }, name: null, expiresInMs: null, createdBy: 'cli' };
  try {
    return (await createApiKey(db.kysely, 'fuzz', wanted)).key;
  } finally {
    await db.close();
  }
}

function writeSettings(file, ids, { apiKey, adminKey }) {
  const kinds = Object.entries(ids);
  const lines = [
    `headers = { Authorization = "Bearer ${apiKey}" }`,
    ...kinds.flatMap(([kind, values]) => [`[dictionaries.${kind}]`, `values = ${JSON.stringify(values)}`]),
    '[parameters]',
    ...kinds.map(([kind]) => `"path.${kind}" = { dictionary = "${kind}", probability = ${KNOWN_ID_SHARE} }`),
    '[[operations]]',
    `include-tag = "${ADMIN_TAG}"`,
    `headers = { Authorization = "Bearer ${adminKey}" }`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
}

/** The fuzzer may have found and revoked the keys that it came with: from there on it has seen nothing but 401. */
async function stillLetIn({ api, apiKey }, adminKey) {
  const asks = [
    ['/webhooks', apiKey],
    ['/tenants', adminKey],
  ];
  const statuses = asks.map(async ([path, key]) => {
    const { status } = await fetch(`${api.url}/api/v1${path}`, { headers: { authorization: `Bearer ${key}` } });
    if (status !== 200) console.error(`The key for ${path} is answered ${status} by now`);
    return status === 200;
  });
  return (await Promise.all(statuses)).every(Boolean);
}

/** Resolves to its exit code. */
function fuzz(program, settings, { api, dataDir }) {
  const args = [
    ...['--config-file', settings, 'run', `${api.url}/openapi.json`],
    ...['--checks', CHECKS.join(','), '--max-examples', String(MAX_EXAMPLES)],
    ...['--max-time', String(RUN_LIMIT_SECONDS), '--continue-on-failure'],
    // With threads, CPython 3.11 now and then fails in its own parser.
    ...['--workers', '1'],
    ...['--suppress-health-check', 'all', '--generation-database', 'none', '--no-color'],
    ...process.argv.slice(2),
  ];
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: toolEnv(), stdio: 'inherit', cwd: dataDir });
    const end = () => child.kill('SIGKILL');
    const guard = setTimeout(() => {
      console.error(`schemathesis did not end within ${KILL_AFTER_MS / 1_000} s`);
      end();
    }, KILL_AFTER_MS);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, end);
    child.once('error', (error) => console.error(error.message));
    child.once('close', (code) => {
      clearTimeout(guard);
      resolve(code ?? 1);
    });
  });
}

const program = schemathesis();
forgetSettings();
const refused = allowLoopbackOnly();
const { startStack } = load(join(root, 'dist', 'src', 'cli', 'stack.js'));
const stack = await startStack({
  ephemeral: true,
  say: (line) => console.log(line),
  defaults: { POSTHORN_PORT: '0' },
});
try {
  const settings = join(stack.dataDir, 'schemathesis.toml');
  const adminKey = await makeAdminKey(stack);
  writeSettings(settings, await seed(stack, adminKey), { apiKey: stack.apiKey, adminKey });
  process.exitCode = await fuzz(program, settings, stack);
  if (!(await stillLetIn(stack, adminKey))) process.exitCode = 1;
  console.log(`Connections to other machines that were refused: ${refused()}`);
} finally {
  await stack.stop();
}
