import { startApi } from '../../src/api/start-api';
import { runCreateKey, runRevokeKey } from '../../src/cli/keys';
import { runCreateTenant } from '../../src/cli/tenants';
import { readConfig } from '../../src/config';
import { generateApiKey, hashApiKey } from '../../src/db/store/api-keys';
import { newUuid, toPublicId } from '../../src/domain/ids';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { posthorn as run } from '../support/cli';
import { createTestDatabase, queryOnce } from '../support/database';
import { testEnvironment } from '../support/environment';

/** Tenants and keys without an api, and what an api makes of itself: nothing, unless it is told to. */

let database: Awaited<ReturnType<typeof createTestDatabase>>;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database?.drop());

const posthorn = (...args: string[]) => run(args, { DATABASE_URL: database.url });

/** A command that must succeed: its lines on standard output. */
async function lines(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await posthorn(...args);
  if (code !== 0) throw new Error(`posthorn ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout.split('\n').slice(0, -1);
}

async function withApi<T>(settings: Record<string, string>, work: (url: string) => Promise<T>): Promise<T> {
  const api = await startApi(readConfig({ ...testEnvironment(database.url), ...settings }), createLog('silent'));
  try {
    return await work(api.url);
  } finally {
    await api.stop();
  }
}

test('a tenant and its key are made, used, listed and revoked', async () => {
  const [tenant, ...none] = await lines('tenants', 'create', 'ACME & Söhne');
  expect(tenant).toMatch(/^ten_/);
  expect(none).toEqual([]);
  const [listed] = await lines('tenants', 'list');
  expect(listed).toMatch(new RegExp(`^${tenant}\t.*\tACME & Söhne$`));

  const made = await posthorn(
    'keys',
    'create',
    '--tenant',
    'ACME & Söhne',
    '--scopes',
    'publish,read',
    '--name',
    'shop',
  );
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ph_live_[A-Za-z0-9_-]{43}\n$/) });
  const key = made.stdout.trim();
  const id = /^(key_\w+)\t/.exec(made.stderr)![1]!;
  expect(made.stderr).toContain(`${tenant}\tpublish,read\tshop\t`);
  expect(made.stderr).not.toContain(key);
  const stored = await queryOnce(database.url, 'select key_hash, k::text as text from api_keys k');
  expect(stored).toEqual([{ key_hash: hashApiKey(key), text: expect.not.stringContaining(key.slice(-43)) }]);

  await withApi({ POSTHORN_BOOTSTRAP_KEY: '' }, async (url) => {
    const api = new TestApi(url, key);
    await api.publish();
    expect(await api.call('GET', '/audit-log')).toMatchObject({ status: 403 });
  });

  const other = await lines('tenants', 'create', 'other');
  await lines(
    'keys',
    'create',
    '--tenant',
    other[0]!,
    '--scopes',
    'manage',
    '--expires',
    '90d',
    '--environment',
    'test',
  );
  expect(await lines('keys', 'list')).toHaveLength(2);
  expect(await lines('keys', 'list', '--tenant', tenant!)).toEqual([expect.stringMatching(new RegExp(`^${id}\t`))]);
  expect((await lines('keys', 'list', '--tenant', 'other'))[0]).toMatch(/\texpires \d{4}-/);

  expect((await lines('keys', 'revoke', id))[0]).toMatch(/\trevoked \d{4}-/);
  await withApi({ POSTHORN_BOOTSTRAP_KEY: '' }, async (url) => {
    expect(await new TestApi(url, key).call('GET', '/webhooks')).toMatchObject({ status: 401 });
  });
  const log = await queryOnce(database.url, 'select actor, action, target from audit_log order by id');
  expect(log.slice(0, 2)).toEqual([
    { actor: 'cli', action: 'tenant.create', target: tenant },
    { actor: 'cli', action: 'api_key.create', target: id },
  ]);
  expect(log.at(-1)).toEqual({ actor: 'cli', action: 'api_key.revoke', target: id });
});

test('an admin key manages tenants, and nothing of theirs', async () => {
  const [key] = await lines('keys', 'create', '--admin');
  await withApi({ POSTHORN_BOOTSTRAP_KEY: '' }, async (url) => {
    const api = new TestApi(url, key!);
    await api.ok('POST', '/tenants', { name: 'by the API' });
    expect(await api.call('GET', '/webhooks')).toMatchObject({ status: 403 });
  });
  expect((await lines('tenants', 'list'))[0]).toMatch(/\tby the API$/);
  expect((await lines('keys', 'list'))[0]).toMatch(/^key_\w+\tadmin\tadmin\tcreated /);
});

test.each<[string, () => Promise<void>, RegExp]>([
  ['a key of nobody', () => runCreateKey({}), /^Give --tenant and --scopes, or --admin/],
  ['a key without scopes', () => runCreateKey({ tenant: 'ACME' }), /^Give --tenant and --scopes/],
  ['a key of a tenant that is not there', () => runCreateKey({ tenant: 'x', scopes: 'read' }), /^There is no tenant/],
  ['a tenant’s key with admin', () => runCreateKey({ tenant: 'ACME', scopes: 'admin' }), /^--scopes: any of publish/],
  ['an empty scope', () => runCreateKey({ tenant: 'ACME', scopes: 'read,' }), /^--scopes: any of/],
  ['an admin key with scopes', () => runCreateKey({ admin: true, scopes: 'read' }), /^--admin goes without/],
  ['a time that is none', () => runCreateKey({ admin: true, expires: 'soon' }), /^--expires: a duration/],
  ['no time', () => runCreateKey({ admin: true, expires: '0s' }), /^--expires: a duration/],
  ['an odd environment', () => runCreateKey({ admin: true, environment: 'a b' }), /^--environment/],
  ['to revoke what is no key', () => runRevokeKey('ten_x'), /^A key id begins with key_/],
  ['to revoke a key that is not there', () => runRevokeKey(toPublicId('apiKey', newUuid())), /^There is no API key/],
  ['a name that is taken', () => runCreateTenant('ACME'), /^There is a tenant with this name/],
  ['a name that is empty', () => runCreateTenant(''), /^A tenant's name has 1 to 100/],
])('%s is refused, and nothing is made', async (_what, run, message) => {
  process.env.DATABASE_URL = database.url;
  try {
    await queryOnce(database.url, `insert into tenants (id, name) values (gen_random_uuid(), 'ACME')`);
    await expect(run()).rejects.toThrow(message);
  } finally {
    delete process.env.DATABASE_URL;
  }
  expect(await queryOnce(database.url, 'select from api_keys union all select from audit_log')).toEqual([]);
  expect(await queryOnce(database.url, 'select name from tenants')).toEqual([{ name: 'ACME' }]);
});

test('a refusal is one line, and exit code 1', async () => {
  expect(await posthorn('keys', 'create')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'posthorn: Give --tenant and --scopes, or --admin.\n',
  });
});

test('an api that was given no key makes none', async () => {
  await withApi({ POSTHORN_BOOTSTRAP_KEY: '' }, async () => undefined);
  expect(await queryOnce(database.url, 'select from api_keys')).toEqual([]);
  expect(await queryOnce(database.url, 'select from tenants')).toEqual([]);
});

test('a bootstrap key that was revoked stays revoked when the api starts with it again', async () => {
  const POSTHORN_BOOTSTRAP_KEY = generateApiKey('test');
  const status = () =>
    withApi({ POSTHORN_BOOTSTRAP_KEY }, async (url) => {
      return (await new TestApi(url, POSTHORN_BOOTSTRAP_KEY).call('GET', '/webhooks')).status;
    });
  expect(await status()).toBe(200);
  const [key] = await lines('keys', 'list', '--tenant', 'default');
  await lines('keys', 'revoke', key!.split('\t')[0]!);
  expect(await status()).toBe(401);
});

describe('names that a terminal would obey', () => {
  const NAMES = ['a\u001b[2Jb', 'a\nten_fake\tb', 'a\u202eb', 'AC\u200bME', 'a\u009bb'];

  test.each(NAMES)('are refused: %j', async (name) => {
    const tenant = await posthorn('tenants', 'create', name);
    expect(tenant).toMatchObject({ code: 1, stdout: '' });
    expect(tenant.stderr).toMatch(
      /^posthorn: A tenant's name must not hold control or invisible characters \(U\+.*\)\.\n$/,
    );
    const key = await posthorn('keys', 'create', '--admin', '--name', name);
    expect(key).toMatchObject({ code: 1, stdout: '' });
    expect(key.stderr).toMatch(/^posthorn: --name must not hold control or invisible characters \(U\+.*\)\.\n$/);
    expect(await queryOnce(database.url, 'select 1 from api_keys')).toEqual([]);
  });

  test('so is one that is too long', async () => {
    const { code, stderr } = await posthorn('keys', 'create', '--admin', '--name', 'x'.repeat(101));
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'posthorn: --name has 1 to 100 characters.\n' });
  });

  test('those that are there already are shown escaped, a line each', async () => {
    await lines('tenants', 'create', 'plain');
    await lines('keys', 'create', '--admin', '--name', 'plain');
    const bad = `'a' || chr(27) || '[2J' || chr(10) || 'b' || chr(8238)`;
    await queryOnce(database.url, `update tenants set name = ${bad} where name = 'plain'`);
    await queryOnce(database.url, `update api_keys set name = ${bad}`);
    const tenants = (await lines('tenants', 'list')).filter((line) => line.includes('[2J'));
    expect(tenants).toEqual([expect.stringMatching(/\ta\\u\{1b\}\[2J\\u\{a\}b\\u\{202e\}$/)]);
    const keys = await lines('keys', 'list');
    expect(keys).toEqual([expect.stringMatching(/\tadmin\t[^\t]*\ta\\u\{1b\}\[2J\\u\{a\}b\\u\{202e\}\t/)]);
  });
});
