import type { ParamKind } from '../../src/api/route';
import { routes } from '../../src/api/routes';
import { newUuid, toPublicId } from '../../src/domain/ids';
import { TENANT_SCOPES } from '../../src/domain/scopes';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { allRows, asAdmin, isTenantScope, makeThings, samples, type Things, withScopes } from './route-samples';
import { expectProblem, otherTenant, send } from './support';

/**
 * Whatever row is added to the table, it asks for a key, for its scope, and knows no one else's things. A new row that
 * changes something needs an entry in ./route-samples.ts.
 */

let posthorn: Installation;
let other: TestApi;
let admin: TestApi;
/** One thing of each kind, of the first tenant. */
let own: Things;

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  own = await makeThings(posthorn, posthorn.api);
  other = await otherTenant(posthorn);
  await makeThings(posthorn, other);
  admin = await asAdmin(posthorn);
});
afterAll(() => posthorn?.stop());

type Row = (typeof routes)[number];
const rows = routes.map((row) => [`${row.method.toUpperCase()} ${row.path}`, row] as const);
const tenantRows = rows.filter(([, { scope }]) => isTenantScope(scope));
const withIds = rows.filter(([, { ids }]) => ids);
const withForeignIds = tenantRows.filter(([, { ids }]) => ids);
/** Settings are the caller's own, which it may change. */
const withForeignBodies = tenantRows.filter(
  ([name, { ids, path }]) => !ids && path !== '/settings' && samples[name]?.body,
);

function pathOf(row: Row, ids: (kind: ParamKind) => string | undefined): string {
  return row.path.replace(/:([a-z]+)/g, (_, name: string) => {
    const id = ids(row.ids![name]!);
    if (!id) throw new Error(`makeThings() makes nothing of the kind that :${name} of ${row.path} is`);
    return id;
  });
}

/** Calls a route with the body of its sample: where ids are looked at after the body, a 422 would hide a missing check. */
function call(
  api: TestApi,
  [name, row]: readonly [string, Row],
  ids: (kind: ParamKind) => string | undefined,
  key = api.key,
) {
  const body = samples[name]?.body?.(own);
  return send(api, row.method.toUpperCase(), `/api/v1${pathOf(row, ids)}`, {
    key: key || null,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
}
const nothing = (kind: ParamKind) => (kind === 'eventTypeName' ? 'routes.nothing' : toPublicId(kind, newUuid()));
const ownIds = (kind: ParamKind) => own[kind];

test('the table is not empty, has no row twice, and every row that changes something has its sample', () => {
  expect(withForeignIds.length).toBeGreaterThan(10);
  expect(withForeignBodies.length).toBeGreaterThan(3);
  const names = rows.map(([name]) => name);
  expect(new Set(names).size).toBe(rows.length);
  expect(Object.keys(samples).sort()).toEqual(names.filter((name) => !name.startsWith('GET ')).sort());
});

test('no path of one row is a path of another: their order decides nothing', () => {
  const ambiguous = rows.flatMap(([name, row], place) =>
    rows.slice(place + 1).flatMap(([other, { method, path }]) => {
      const both = row.method === method && overlap(row.path, path);
      return both ? [`${name} and ${other}`] : [];
    }),
  );
  expect(ambiguous).toEqual([]);
  expect(overlap('/webhooks/:webhook', '/webhooks/subscribe')).toBe(true);
});

/** Whether some path fits both patterns. */
function overlap(one: string, other: string): boolean {
  const words = other.split('/');
  const fits = (word: string, n: number) => [word, words[n]].some((each) => each?.startsWith(':')) || word === words[n];
  return one.split('/').length === words.length && one.split('/').every(fits);
}

test.each(rows)('%s without a key is answered 401', async (...row) => {
  expectProblem(await call(posthorn.api, row, ownIds, ''), { status: 401, code: 'unauthorized' });
});

const forbidden = { status: 403, code: 'forbidden' };

test.each(rows)('%s with a key of other scopes is answered 403', async (...row) => {
  const others = TENANT_SCOPES.filter((scope) => scope !== row[1].scope);
  expectProblem(await call(await withScopes(posthorn, own.tenant, others), row, ownIds), forbidden);
});

test.each(tenantRows)('%s with an admin key is answered 403', async (...row) => {
  expectProblem(await call(admin, row, ownIds), forbidden);
});

test.each(withForeignIds)('%s with ids of another tenant is answered 404, and changes nothing', async (...row) => {
  const before = await allRows(posthorn);
  expectProblem(await call(other, row, ownIds), { status: 404, code: 'not_found' });
  expect(await allRows(posthorn)).toEqual(before);
});

test.each(withForeignBodies)(
  '%s with ids of another tenant in its body changes nothing that was there',
  async (...row) => {
    const before = await allRows(posthorn);
    expect((await call(other, row, ownIds)).status).toBeLessThan(500);
    const after = new Set(await allRows(posthorn));
    expect(before.filter((hash) => !after.has(hash))).toEqual([]);
  },
);

test.each(withIds)('%s with ids of nothing is answered 404', async (...row) => {
  const api = isTenantScope(row[1].scope) ? posthorn.api : admin;
  const answer = await call(api, row, nothing);
  expectProblem(answer, { status: 404, code: 'not_found' });
});

test.each(withIds)('%s with ids of another kind is answered 404', async (...row) => {
  const api = isTenantScope(row[1].scope) ? posthorn.api : admin;
  const answer = await call(api, row, (kind) => toPublicId(kind === 'event' ? 'webhook' : 'event', newUuid()));
  expectProblem(answer, { status: 404, code: 'not_found' });
});

test('a change does show in what is compared', async () => {
  const before = await allRows(posthorn);
  await other.ok('POST', '/webhooks', { url: 'http://127.0.0.1:9', events: ['never'] });
  const after = await allRows(posthorn);
  // Webhook, gate, secret, subscription, audit line.
  expect(after.length - before.length).toBe(5);
  await posthorn.api.ok('POST', `/webhooks/${own.webhook}/pause`);
  expect((await allRows(posthorn)).filter((row) => !after.includes(row)).map((row) => row.split(' ')[0])).toEqual([
    'audit_log',
    'webhook_gates',
  ]);
});

test('a delivery is not found under another webhook of the same tenant', async () => {
  const { id } = await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['never'] });
  const answer = await posthorn.api.call('GET', `/webhooks/${id}/deliveries/${own.delivery}`);
  expectProblem(answer, { status: 404, code: 'not_found' });
});

test('lists show another tenant nothing, whatever they are filtered by', async () => {
  const stranger = await otherTenant(posthorn, 'stranger');
  const lists = ['/webhooks', '/events', '/deliveries', '/replays', '/dead-letters', '/event-types', '/audit-log'];
  for (const path of [...lists, `/deliveries?webhook_id=${own.webhook}`, `/audit-log?target=${own.webhook}`]) {
    expect(await stranger.ok('GET', path)).toEqual({ data: [], next_cursor: null });
  }
});

test('an event goes to the webhooks of its own tenant only', async () => {
  expect(await (await otherTenant(posthorn, 'alone')).publish()).toMatchObject({ deliveries: 0 });
});
