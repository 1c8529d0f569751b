import type { z } from 'zod';
import type { ParamKind } from '../../src/api/route';
import { routes } from '../../src/api/routes';
import { newUuid, parsePublicId, toPublicId } from '../../src/domain/ids';
import { TENANT_SCOPES } from '../../src/domain/scopes';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { allRows, asAdmin, isTenantScope, makeThings, samples, type Things, withScopes } from './route-samples';
import { expectProblem, otherTenant, send, sql } from './support';

/**
 * Whatever row is added to the table, it asks for a key, for its scope, and knows no one else's things. A new row that
 * changes something needs an entry in ./route-samples.ts.
 */

let posthorn: Installation;
let other: TestApi;
let admin: TestApi;
/** One thing of each kind, of the first tenant. */
let own: Things;
/** The same of another one. */
let others: Things;

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  own = await makeThings(posthorn, posthorn.api);
  await addDeadLetter();
  other = await otherTenant(posthorn);
  others = await makeThings(posthorn, other);
  admin = await asAdmin(posthorn);
});
afterAll(() => posthorn?.stop());

/** As a worker would leave it, which there is none of here. */
async function addDeadLetter(): Promise<void> {
  const { id } = await posthorn.api.publish('samples.event');
  const event = parsePublicId('event', id);
  await sql(
    posthorn,
    `update deliveries set state = 'failed', failed_because = 'gone', failed_at = now(), ended_at = now() where event_id = $1`,
    [event],
  );
  await sql(posthorn, 'delete from delivery_queue where event_id = $1', [event]);
}

type Row = (typeof routes)[number];
const rows = routes.map((row) => [`${row.method.toUpperCase()} ${row.path}`, row] as const);
const tenantRows = rows.filter(([, { scope }]) => isTenantScope(scope));
const withIds = rows.filter(([, { ids }]) => ids);
const withForeignIds = tenantRows.filter(([, { ids }]) => ids);
const withManyIds = withForeignIds.filter(([, { ids }]) => Object.keys(ids!).length > 1);
const withoutIds = tenantRows.filter(([, { ids, method }]) => !ids && method === 'get');
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
  { key = api.key, things = own }: { key?: string; things?: Things } = {},
) {
  const body = samples[name]?.body?.(things);
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

test.each(rows)(
  '%s says whom it serves, and of what kind each id in its path is',
  (_name, { scope, path, ids = {} }) => {
    // The types ask for it; a cast, or a spread of something older, would get past them.
    expect([...TENANT_SCOPES, 'admin']).toContain(scope);
    const named = [...path.matchAll(/:([a-z]+)/g)].map(([, name]) => name);
    expect(named.sort()).toEqual(Object.keys(ids).sort());
  },
);

test.each(rows)('%s without a key is answered 401', async (...row) => {
  expectProblem(await call(posthorn.api, row, ownIds, { key: '' }), { status: 401, code: 'unauthorized' });
});

const forbidden = { status: 403, code: 'forbidden' };

test.each(rows)('%s with a key of other scopes is answered 403', async (...row) => {
  const others = TENANT_SCOPES.filter((scope) => scope !== row[1].scope);
  expectProblem(await call(await withScopes(posthorn, own.tenant, others), row, ownIds), forbidden);
});

test.each(rows)('%s with a key of its scope and no other is let in', async (...row) => {
  const { scope, ids } = row[1];
  const api = isTenantScope(scope) ? await withScopes(posthorn, others.tenant, [scope]) : admin;
  const { status } = await call(api, row, nothing, { things: others });
  if (ids) expect(status).toBe(404);
  else expect([401, 403, 500]).not.toContain(status);
});

test.each(tenantRows)('%s with an admin key is answered 403', async (...row) => {
  expectProblem(await call(admin, row, ownIds), forbidden);
});

test.each(withForeignIds)('%s with ids of another tenant is answered 404, and changes nothing', async (...row) => {
  const before = await allRows(posthorn);
  expectProblem(await call(other, row, ownIds), { status: 404, code: 'not_found' });
  expect(await allRows(posthorn)).toEqual(before);
});

test.each(withManyIds)(
  '%s with one id of another tenant among its own is answered 404, and changes nothing',
  async (...row) => {
    const kinds = Object.values(row[1].ids!);
    for (const foreign of kinds) {
      const before = await allRows(posthorn);
      const answer = await call(other, row, (kind) => (kind === foreign ? own : others)[kind]);
      expectProblem(answer, { status: 404, code: 'not_found' });
      expect(await allRows(posthorn)).toEqual(before);
    }
  },
);

test.each(withoutIds)('%s shows nothing of another tenant, whatever it is filtered by', async (...row) => {
  const { path, query } = row[1];
  const filters = Object.keys((query as z.ZodObject | undefined)?.shape ?? {});
  const things = Object.values(own);
  const asked = ['', ...filters.flatMap((filter) => things.map((thing) => `?${filter}=${thing}`))];
  for (const each of asked) {
    const { status, body } = await other.call('GET', path + each);
    // A filter takes ids of its own kind only.
    expect(each === '' ? [200] : [200, 422]).toContain(status);
    if (status === 200) expect(things.filter((thing) => JSON.stringify(body).includes(thing))).toEqual([]);
  }
  // Where the tenant itself saw nothing either, this would have been easy.
  if (!filters.includes('cursor')) return;
  const shown = JSON.stringify(await posthorn.api.ok('GET', `${path}?limit=200`));
  expect(things.some((thing) => shown.includes(thing))).toBe(true);
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
