import { createServer, type Server } from 'node:net';
import { Client } from 'pg';
import { posthorn } from '../support/cli';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';

/** What people see when a command cannot do its work: one clear line, and exit code 1. */

const NOBODY = '127.0.0.1:1';

let database: Awaited<ReturnType<typeof createTestDatabase>>;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

/** The settings of a role, but for some. */
function settings(change: Record<string, string>): Record<string, string> {
  return { ...testEnvironment(database.url), ...change };
}

test.each([
  ['api', 'DATABASE_URL'],
  ['worker', 'DATABASE_URL'],
  ['migrate', 'DATABASE_URL'],
  ['api', 'POSTHORN_ENCRYPTION_KEYS'],
  ['worker', 'POSTHORN_ENCRYPTION_KEYS'],
])('%s without %s', async (role, name) => {
  expect(await posthorn([role], settings({ [name]: '' }))).toEqual({
    code: 1,
    stdout: '',
    stderr: `posthorn: ${name} must be set for this command.\n`,
  });
});

test.each(['api', 'worker'])('%s with an encryption key that is no secret', async (role) => {
  const weak = Buffer.alloc(32, 7).toString('base64');
  const { code, stdout, stderr } = await posthorn([role], settings({ POSTHORN_ENCRYPTION_KEYS: `k1:${weak}` }));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/POSTHORN_ENCRYPTION_KEYS: the key "k1" has fewer than 16 different bytes/);
  expect(stderr).not.toContain(weak);
});

test('api with a bootstrap key that is no secret', async () => {
  const weak = 'abc_'.repeat(11).slice(0, 43);
  const { code, stderr } = await posthorn(['api'], settings({ POSTHORN_BOOTSTRAP_KEY: `ph_live_${weak}` }));
  expect(code).toBe(1);
  expect(stderr).toMatch(/POSTHORN_BOOTSTRAP_KEY: its random part has fewer than 16 different bytes/);
  expect(stderr).not.toContain(weak);
});

test.each(['api', 'worker', 'migrate'])('%s with a Postgres that is not there', async (role) => {
  const DATABASE_URL = `postgres://someone:hunter2@${NOBODY}/events`;
  expect(await posthorn([role], settings({ DATABASE_URL }))).toEqual({
    code: 1,
    stdout: '',
    stderr: `posthorn: Postgres cannot be reached at ${NOBODY}/events. Start it, or set DATABASE_URL.\n`,
  });
});

test('worker with a Temporal that is not there', async () => {
  expect(await posthorn(['worker'], settings({ TEMPORAL_ADDRESS: NOBODY }))).toEqual({
    code: 1,
    stdout: '',
    stderr: `posthorn: Temporal cannot be reached at ${NOBODY}. Start it, or set TEMPORAL_ADDRESS.\n`,
  });
});

test('api on a port that is in use', async () => {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  try {
    expect(await posthorn(['api'], settings({ POSTHORN_PORT: String(port) }))).toEqual({
      code: 1,
      stdout: '',
      stderr: `posthorn: Port ${port} on 127.0.0.1 is in use. Stop what uses it, or set POSTHORN_PORT.\n`,
    });
  } finally {
    server.close();
  }
});

test.each(['api', 'worker'])('%s with a database that was never migrated', async (role) => {
  const { code, stderr } = await posthorn([role], settings({ DATABASE_URL: await emptyDatabase() }));
  expect(stderr).toMatch(/^posthorn: The database lacks the migrations .*: run `posthorn migrate` first\.\n$/);
  expect(code).toBe(1);
});

test('migrate makes it ready, and a second one has nothing to do', async () => {
  const DATABASE_URL = await emptyDatabase();
  const first = await posthorn(['migrate'], { DATABASE_URL });
  expect(first).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^migrated: 0001_create_tenants, /),
  });
  expect(await posthorn(['migrate'], { DATABASE_URL })).toEqual({
    code: 0,
    stderr: '',
    stdout: 'the database is up to date\n',
  });
});

test.each([
  ['a setting that is not usable', ['api'], { POSTHORN_PORT: 'hunter2' }, /^posthorn: .*\n {2}POSTHORN_PORT: .*\n$/],
  ['an unknown command', ['serve'], {}, /^error: unknown command 'serve'\n/],
  ['a port that is none', ['dev', '--temporal-port', 'abc'], {}, /^error: .*--temporal-port.* A port is a number/],
  ['an unknown option', ['worker', '--fast'], {}, /^error: unknown option '--fast'\n/],
])('%s', async (_what, args, given, wanted) => {
  const { code, stderr, stdout } = await posthorn(args, given);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(wanted);
  expect(stderr).not.toContain('hunter2');
});

/** The file's own database, emptied: a name that is dropped with it. */
async function emptyDatabase(): Promise<string> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('drop schema public cascade');
  await client.query('create schema public');
  await client.end();
  return database.url;
}
