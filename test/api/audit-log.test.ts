import { routes } from '../../src/api/routes';
import { hashApiKey } from '../../src/db/store/api-keys';
import { type IdKind, toPublicId } from '../../src/domain/ids';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { asAdmin, isTenantScope, makeThings, samples, withScopes } from './route-samples';
import { expectBadField, otherTenant, sql } from './support';

let posthorn: Installation;
let admin: TestApi;

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  admin = await asAdmin(posthorn);
});
afterAll(() => posthorn?.stop());

type Line = { id: string; actor: string; action: string; target: string; details: object; created_at: string };
const linesOf = async (api: TestApi, query = '') => (await api.ok<{ data: Line[] }>('GET', `/audit-log${query}`)).data;

async function keyIdOf({ key }: TestApi): Promise<string> {
  const [row] = await sql<{ id: string }>(posthorn, 'select id from api_keys where key_hash = $1', [hashApiKey(key)]);
  return row!.id;
}

const changing = routes
  .map((row) => [`${row.method.toUpperCase()} ${row.path}`, row] as const)
  // Publishing says itself when it came, and a sample for no webhook changes nothing and shows no secret.
  .filter(([name, { method, scope }]) => method !== 'get' && scope !== 'publish' && name !== 'POST /webhooks/sample');

test('there are routes that change something', () => {
  expect(changing.length).toBeGreaterThan(15);
});

/** Publishing alone leaves no line: events say themselves when they came. */
test.each(changing)('%s leaves a line that says who did what to what', async (name, row) => {
  const sample = samples[name]!;
  const things = await makeThings(posthorn, posthorn.api, sample);
  await sample.prepare?.(posthorn, things);
  const caller = isTenantScope(row.scope) ? await withScopes(posthorn, things.tenant, [row.scope]) : admin;
  const actor = await keyIdOf(caller);
  const path = row.path.replace(/:([a-z]+)/g, (_, id: string) => things[row.ids![id] as IdKind]!);
  const before = await linesOfActor(actor);

  const answer = await caller.call(row.method.toUpperCase(), path, sample.body?.(things));
  if (answer.status >= 300) throw new Error(`${name}: ${answer.status} ${JSON.stringify(answer.body)}`);

  const lines = (await linesOfActor(actor)).slice(before.length);
  expect(lines).toEqual([
    { tenant: expect.any(String), action: expect.stringMatching(/^[a-z_.]+$/), target: expect.any(String) },
  ]);
  if (!isTenantScope(row.scope)) return;
  expect(toPublicId('tenant', lines[0]!.tenant!)).toBe(things.tenant);
  expect((await linesOf(posthorn.api, `?actor=${toPublicId('apiKey', actor)}`))[0]).toMatchObject({
    action: lines[0]!.action,
    target: lines[0]!.target,
  });
});

function linesOfActor(actor: string) {
  return sql<{ tenant: string | null; action: string; target: string }>(
    posthorn,
    'select tenant_id as tenant, action, target from audit_log where actor = $1 order by id',
    [actor],
  );
}

describe('the list', () => {
  let tenant: TestApi;
  let webhook: string;
  beforeAll(async () => {
    tenant = await otherTenant(posthorn, 'of the list');
    webhook = (await tenant.createWebhook({ url: 'http://127.0.0.1:9' })).id;
    await tenant.ok('POST', `/webhooks/${webhook}/pause`);
    await tenant.ok('PATCH', `/webhooks/${webhook}`, { description: 'hidden-text' });
    await tenant.createWebhook({ url: 'http://127.0.0.1:9' });
  });

  test('is newest first and says who, what, to what and when', async () => {
    const lines = await linesOf(tenant);
    expect(lines.map(({ action }) => action)).toEqual([
      'webhook.create',
      'webhook.update',
      'webhook.pause',
      'webhook.create',
    ]);
    expect(lines[1]).toEqual({
      id: expect.stringMatching(/^aud_/),
      actor: toPublicId('apiKey', await keyIdOf(tenant)),
      action: 'webhook.update',
      target: webhook,
      details: { fields: ['description'] },
      created_at: expect.any(String),
    });
    expect(JSON.stringify(lines)).not.toContain('hidden-text');
  });

  test('is filtered by action, target, actor and time', async () => {
    const all = await linesOf(tenant);
    const actions = async (query: string) => (await linesOf(tenant, query)).map(({ action }) => action);
    expect(await actions('?action=webhook.pause')).toEqual(['webhook.pause']);
    expect(await actions(`?target=${webhook}`)).toEqual(['webhook.update', 'webhook.pause', 'webhook.create']);
    expect(await actions(`?actor=${all[0]!.actor}&action=webhook.update`)).toEqual(['webhook.update']);
    expect(await actions(`?actor=${toPublicId('apiKey', await keyIdOf(posthorn.api))}`)).toEqual([]);
    expect(await actions('?actor=cli')).toEqual([]);
    expect(await actions(`?until=${new Date(Date.now() - 3_600_000).toISOString()}`)).toEqual([]);
    expect(await actions(`?since=${new Date(Date.now() + 3_600_000).toISOString()}`)).toEqual([]);
  });

  test('comes in pages', async () => {
    const all = await linesOf(tenant);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { data: Line[]; next_cursor: string | null } = await tenant.ok(
        'GET',
        `/audit-log?limit=1${cursor && `&cursor=${cursor}`}`,
      );
      expect(page.data).toHaveLength(1);
      seen.push(page.data[0]!.id);
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(all.map(({ id }) => id));
  });

  test('refuses what it does not know', async () => {
    expectBadField(await tenant.call('GET', '/audit-log?cursor=evt_1'), 'cursor', /begins with aud_/);
    expectBadField(await tenant.call('GET', '/audit-log?tenant_id=x'), 'tenant_id', /is not known here/);
  });
});
