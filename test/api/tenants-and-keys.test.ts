import { Client } from 'pg';
import { hashApiKey, noteKeyUse } from '../../src/db/store/api-keys';
import { newUuid, parsePublicId, toPublicId } from '../../src/domain/ids';
import { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { until } from '../support/until';
import { asAdmin } from './route-samples';
import { expectBadField, expectProblem, sql, withDatabase } from './support';

let posthorn: Installation;
let admin: TestApi;

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  admin = await asAdmin(posthorn);
});
afterAll(() => posthorn?.stop());

type Key = { id: string; key: string; [field: string]: unknown };
let made = 0;
const makeTenant = () => admin.ok<{ id: string; name: string }>('POST', '/tenants', { name: `tenant ${++made}` });
const makeKey = (body: object) => admin.ok<Key>('POST', '/api-keys', body);
const as = ({ key }: Key) => new TestApi(posthorn.api.url, key);

test('a tenant is made, listed, and its name is taken', async () => {
  const tenant = await admin.ok('POST', '/tenants', { name: 'ACME' });
  expect(tenant).toEqual({ id: expect.stringMatching(/^ten_/), name: 'ACME', created_at: expect.any(String) });
  const { data } = await admin.ok('GET', '/tenants?limit=1');
  expect(data).toEqual([tenant]);
  expectBadField(await admin.call('POST', '/tenants', { name: 'ACME' }), 'name', /no tenant has/);
  expectBadField(await admin.call('POST', '/tenants', { name: '' }), 'name', /1 to \d+ characters/);
});

test('tenants and keys come in pages', async () => {
  for (let n = 0; n < 3; n++) await makeKey({ tenant_id: (await makeTenant()).id, scopes: ['read'] });
  for (const path of ['/tenants', '/api-keys']) {
    const all = (await admin.ok('GET', path)).data as { id: string }[];
    const first = await admin.ok('GET', `${path}?limit=2`);
    const second = await admin.ok('GET', `${path}?limit=200&cursor=${first.next_cursor}`);
    expect([...first.data, ...second.data]).toEqual(all);
    expect(second).toMatchObject({ next_cursor: null });
  }
});

test('a key is shown once, kept as a hash, and does what its scopes say', async () => {
  const tenant = await makeTenant();
  const answer = await admin.call<Key>('POST', '/api-keys', {
    tenant_id: tenant.id,
    scopes: ['read', 'publish'],
    name: 'shop',
    expires_in: '90d',
    environment: 'test',
  });
  expect(answer).toMatchObject({ status: 201 });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const { key, ...shown } = answer.body;
  expect(key).toMatch(/^ph_test_[A-Za-z0-9_-]{43}$/);
  expect(shown).toEqual({
    id: expect.stringMatching(/^key_/),
    kind: 'tenant',
    tenant_id: tenant.id,
    name: 'shop',
    scopes: ['publish', 'read'],
    created_by: expect.stringMatching(/^key_/),
    created_at: expect.any(String),
    last_used_at: null,
    expires_at: expect.any(String),
    revoked_at: null,
  });
  const life = Date.parse(String(shown.expires_at)) - Date.parse(String(shown.created_at));
  expect(life).toBe(90 * 86_400_000);
  expect(await admin.ok('GET', `/api-keys?tenant_id=${tenant.id}`)).toEqual({ data: [shown], next_cursor: null });
  const [row] = await sql<{ text: string; key_hash: Buffer }>(
    posthorn,
    'select k::text as text, key_hash from api_keys k where id = $1',
    [parsePublicId('apiKey', answer.body.id)],
  );
  expect(row!.key_hash).toEqual(hashApiKey(key));
  expect(row!.text).not.toContain(key.slice(-43));

  const api = as(answer.body);
  await api.publish();
  await api.ok('GET', '/events');
  expectProblem(await api.call('GET', '/audit-log'), { status: 403, code: 'forbidden' });
});

test('an admin key has no tenant, and its scope is all that it has', async () => {
  const key = await makeKey({ kind: 'admin' });
  expect(key).toMatchObject({
    kind: 'admin',
    tenant_id: null,
    scopes: ['admin'],
    key: expect.stringMatching(/^ph_live_/),
  });
  await as(key).ok('GET', '/tenants');
  expectProblem(await as(key).call('POST', '/events', { type: 'a', data: {} }), { status: 403, code: 'forbidden' });
});

test.each<[string, object, string, RegExp]>([
  ['of nobody', { scopes: ['read'] }, 'tenant_id', /id of a tenant/],
  [
    'of a tenant that is not there',
    { tenant_id: toPublicId('tenant', newUuid()), scopes: ['read'] },
    'tenant_id',
    /id of/,
  ],
  ['without scopes', { tenant_id: toPublicId('tenant', newUuid()) }, 'scopes', /must be given/],
  [
    'with no scope',
    { tenant_id: toPublicId('tenant', newUuid()), scopes: [] },
    'scopes',
    /a list of 1 to 3 of publish/,
  ],
  [
    'of a tenant with admin',
    { tenant_id: toPublicId('tenant', newUuid()), scopes: ['admin'] },
    'scopes.0',
    /one of publish/,
  ],
  ['of an administrator with scopes', { kind: 'admin', scopes: ['read'] }, 'scopes', /must not be given/],
  [
    'of an administrator with a tenant',
    { kind: 'admin', tenant_id: toPublicId('tenant', newUuid()) },
    'tenant_id',
    /not/,
  ],
  ['that lasts no time', { kind: 'admin', expires_in: '0s' }, 'expires_in', /from 1m to 3650d/],
  ['of an odd environment', { kind: 'admin', environment: 'Live' }, 'environment', /lower-case/],
])('a key %s is refused', async (_what, body, field, rule) => {
  expectBadField(await admin.call('POST', '/api-keys', body), field, rule);
});

test('a revoked key stops working within the time that it is remembered', async () => {
  const { id } = await makeTenant();
  const key = await makeKey({ tenant_id: id, scopes: ['read'] });
  await as(key).ok('GET', '/webhooks');
  const revoked = await admin.ok('POST', `/api-keys/${key.id}/revoke`);
  expect(revoked).toMatchObject({ id: key.id, revoked_at: expect.any(String) });
  expect(revoked).not.toHaveProperty('key');
  const answer = await until('the key to be refused', async () => {
    const tried = await as(key).call('GET', '/webhooks');
    return tried.status !== 200 && tried;
  });
  expectProblem(answer, { status: 401, code: 'unauthorized' });
  // A second time changes nothing, and leaves no second line.
  expect(await admin.ok('POST', `/api-keys/${key.id}/revoke`)).toEqual(revoked);
  const lines = await sql(posthorn, `select action from audit_log where target = $1 order by id`, [key.id]);
  expect(lines).toEqual([{ action: 'api_key.create' }, { action: 'api_key.revoke' }]);
});

test('a key past its time is not known', async () => {
  const { id } = await makeTenant();
  const key = await makeKey({ tenant_id: id, scopes: ['read'], expires_in: '1m' });
  await sql(posthorn, `update api_keys set expires_at = now() where id = $1`, [parsePublicId('apiKey', key.id)]);
  expectProblem(await as(key).call('GET', '/webhooks'), { status: 401, code: 'unauthorized' });
});

test('what administrators do to a tenant is in the log of the tenant', async () => {
  const tenant = await makeTenant();
  const key = await makeKey({ tenant_id: tenant.id, scopes: ['manage'], name: 'of the log' });
  const { data } = await as(key).ok('GET', '/audit-log');
  expect(data).toEqual([
    expect.objectContaining({
      action: 'api_key.create',
      target: key.id,
      details: { kind: 'tenant', name: 'of the log', scopes: ['manage'], expires_at: null },
    }),
    expect.objectContaining({ action: 'tenant.create', target: tenant.id, details: { name: tenant.name } }),
  ]);
  expect(JSON.stringify(data)).not.toContain(key.key);
});

describe('when a key was used', () => {
  const usedAt = async (key: Key) => {
    const [row] = await sql<{ at: Date | null }>(posthorn, 'select last_used_at as at from api_keys where id = $1', [
      parsePublicId('apiKey', key.id),
    ]);
    return row!.at;
  };

  test('is noted, and not noted again within the minute', async () => {
    const key = await makeKey({ tenant_id: (await makeTenant()).id, scopes: ['read'] });
    expect(await usedAt(key)).toBeNull();
    await as(key).ok('GET', '/webhooks');
    const first = await until('the use to be noted', async () => (await usedAt(key)) ?? undefined);
    const id = parsePublicId('apiKey', key.id)!;
    // A second process, which knows of no first note, leaves it as well.
    await withDatabase(posthorn, ({ kysely }) => noteKeyUse(kysely, id));
    expect(await usedAt(key)).toEqual(first);
    await sql(posthorn, `update api_keys set last_used_at = now() - interval '61 s' where id = $1`, [id]);
    // The first process does not even ask: what it would write comes before the note of a key that is used after it.
    const old = await usedAt(key);
    for (let n = 0; n < 5; n++) await as(key).ok('GET', '/webhooks');
    const later = await makeKey({ tenant_id: (await makeTenant()).id, scopes: ['read'] });
    await as(later).ok('GET', '/webhooks');
    await until('its use to be noted', async () => (await usedAt(later)) ?? undefined);
    expect(await usedAt(key)).toEqual(old);
    await withDatabase(posthorn, ({ kysely }) => noteKeyUse(kysely, id));
    expect((await usedAt(key))!.getTime()).toBeGreaterThan(old!.getTime());
  });

  test('keeps no request waiting', async () => {
    const key = await makeKey({ tenant_id: (await makeTenant()).id, scopes: ['read'] });
    const lock = new Client({ connectionString: posthorn.databaseUrl });
    await lock.connect();
    try {
      await lock.query('begin');
      await lock.query('select from api_keys where id = $1 for update', [parsePublicId('apiKey', key.id)]);
      await as(key).ok('GET', '/webhooks');
      expect(await usedAt(key)).toBeNull();
    } finally {
      await lock.end();
    }
    await until('the use to be noted', async () => (await usedAt(key)) ?? undefined);
  });
});

test('the database itself refuses keys of a kind that is none', async () => {
  const insert = (kind: string, tenant: string | null, scopes: string) =>
    sql(
      posthorn,
      `insert into api_keys (id, kind, tenant_id, key_hash, scopes)
       values (gen_random_uuid(), $1, $2, sha256(gen_random_uuid()::text::bytea), $3)`,
      [kind, tenant, scopes],
    );
  const tenant = parsePublicId('tenant', (await makeTenant()).id)!;
  await insert('admin', null, '{admin}');
  await insert('tenant', tenant, '{read}');
  await expect(insert('admin', tenant, '{admin}')).rejects.toThrow('api_keys_owner');
  await expect(insert('tenant', null, '{read}')).rejects.toThrow('api_keys_owner');
  await expect(insert('tenant', tenant, '{read,admin}')).rejects.toThrow('api_keys_scopes');
  await expect(insert('admin', null, '{admin,read}')).rejects.toThrow('api_keys_scopes');
});

/** What a terminal obeys, what turns text around, and what does not show. */
const UNSHOWABLE: [string, string][] = [
  ['a NUL', 'a\u0000b'],
  ['a line break', 'a\nb'],
  ['an escape sequence', '\u001b[2Jgone'],
  ['a bell', 'a\u0007'],
  ['DEL', 'a\u007f'],
  ['CSI of C1', 'a\u009b31m'],
  ['a bidirectional override', 'a\u202eb'],
  ['a bidirectional isolate', 'a\u2066b'],
  ['an Arabic letter mark', 'a\u061cb'],
  ['a zero-width space', 'AC\u200bME'],
  ['a zero-width joiner', 'AC\u200dME'],
  ['a byte order mark', '\ufeffACME'],
  ['a soft hyphen', 'AC\u00adME'],
  ['a line separator', 'a\u2028b'],
  ['a tag', 'a\u{e0041}b'],
  ['a filler', '\u3164'],
  ['half of a surrogate pair', 'a\ud800b'],
];

describe('names of tenants and keys are what they look like', () => {
  test.each(UNSHOWABLE)('not with %s', async (_what, name) => {
    expectBadField(await admin.call('POST', '/tenants', { name }), 'name', /control or invisible characters \(U\+/);
    const key = await admin.call('POST', '/api-keys', { kind: 'admin', name });
    expectBadField(key, 'name', /control or invisible characters \(U\+/);
  });

  test.each(['ACME & Söhne', '株式会社', 'شركة', 'Ω-3 (“test”)', '🦊', '❤️', 'नमस्ते', 'e\u0301'])(
    'with %s',
    async (name) => {
      expect((await admin.call('POST', '/tenants', { name })).status).toBe(201);
      expect((await admin.call('POST', '/api-keys', { kind: 'admin', name })).status).toBe(201);
    },
  );
});
