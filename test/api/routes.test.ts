import type { ParamKind } from '../../src/api/route';
import { routes } from '../../src/api/routes';
import { newUuid, toPublicId } from '../../src/domain/ids';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { expectProblem, otherTenant, send, sql } from './support';

/** Whatever row is added to the table, it asks for a key, for its scope, and knows no one else's things. */

let posthorn: Installation;
let other: TestApi;
/** One thing of each kind, of the first tenant. */
const own: Partial<Record<ParamKind, string>> = { eventTypeName: 'routes.own' };

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  other = await otherTenant(posthorn);
  const { api } = posthorn;
  own.webhook = (await api.createWebhook({ url: 'http://127.0.0.1:9' })).id;
  own.event = (await api.publish()).id;
  own.delivery = await api.onlyDelivery(own.event!);
  await api.ok('POST', '/event-types', { name: own.eventTypeName });
  own.replay = (await api.ok('POST', `/webhooks/${own.webhook}/replay`, REPLAY)).id;
});
afterAll(() => posthorn?.stop());

const rows = routes.map((row) => [`${row.method.toUpperCase()} ${row.path}`, row] as const);
const withIds = rows.filter(([, row]) => row.ids);

const REPLAY = { since: new Date(Date.now() - 3_600_000) };
/** Where ids are looked at after the body, the body must be good: a 422 would hide a missing check. */
const BODIES: Record<string, unknown> = {
  'PATCH /webhooks/:webhook': { description: 'taken over' },
  'POST /webhooks/:webhook/replay': REPLAY,
  'PATCH /event-types/:name': { description: 'taken over' },
  'POST /event-types/:name/versions': { version: '1.0' },
  'POST /deliveries/:delivery/reschedule': { at: new Date(Date.now() + 3_600_000) },
};

function pathOf(row: (typeof routes)[number], ids: (kind: ParamKind) => string): string {
  return row.path.replace(/:([a-z]+)/g, (_, name: string) => ids(row.ids![name]!));
}

const nothing = (kind: ParamKind) => (kind === 'eventTypeName' ? 'routes.nothing' : toPublicId(kind, newUuid()));

function bodyOf(name: string): Parameters<typeof send>[3] {
  const body = BODIES[name];
  return body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {};
}

test('the table is not empty, and has no row twice', () => {
  expect(rows.length).toBeGreaterThan(15);
  expect(withIds.length).toBeGreaterThan(10);
  expect(new Set(rows.map(([name]) => name)).size).toBe(rows.length);
});

test.each(rows)('%s without a key is answered 401', async (_name, row) => {
  const path = `/api/v1${pathOf(row, (kind) => own[kind]!)}`;
  expectProblem(await send(posthorn.api, row.method.toUpperCase(), path, { key: null }), {
    status: 401,
    code: 'unauthorized',
  });
});

test.each(rows)('%s with a key of other scopes is answered 403', async (_name, row) => {
  const limited = await otherTenant(posthorn, `without ${row.scope}`);
  await sql(
    posthorn,
    `update api_keys set scopes = array_remove(scopes, $1)
     from tenants t where t.id = tenant_id and t.name = $2`,
    [row.scope, `without ${row.scope}`],
  );
  const path = `/api/v1${pathOf(row, (kind) => own[kind]!)}`;
  expectProblem(await send(limited, row.method.toUpperCase(), path), { status: 403, code: 'forbidden' });
});

test.each(withIds)('%s with ids of another tenant is answered 404', async (name, row) => {
  const path = `/api/v1${pathOf(row, (kind) => own[kind]!)}`;
  expectProblem(await send(other, row.method.toUpperCase(), path, bodyOf(name)), { status: 404, code: 'not_found' });
});

test.each(withIds)('%s with ids of nothing is answered 404', async (name, row) => {
  const path = `/api/v1${pathOf(row, nothing)}`;
  const answer = await send(posthorn.api, row.method.toUpperCase(), path, bodyOf(name));
  expectProblem(answer, { status: 404, code: 'not_found' });
});

test.each(withIds)('%s with ids of another kind is answered 404', async (name, row) => {
  const path = `/api/v1${pathOf(row, (kind) => toPublicId(kind === 'event' ? 'webhook' : 'event', newUuid()))}`;
  const answer = await send(posthorn.api, row.method.toUpperCase(), path, bodyOf(name));
  expectProblem(answer, { status: 404, code: 'not_found' });
});

test('a delivery is not found under another webhook of the same tenant', async () => {
  const { id } = await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['never'] });
  const answer = await posthorn.api.call('GET', `/webhooks/${id}/deliveries/${own.delivery}`);
  expectProblem(answer, { status: 404, code: 'not_found' });
});

test('lists show another tenant nothing, whatever they are filtered by', async () => {
  const lists = ['/webhooks', '/events', '/deliveries', '/replays', '/dead-letters', '/event-types'];
  for (const path of [...lists, `/deliveries?webhook_id=${own.webhook}`]) {
    expect(await other.ok('GET', path)).toEqual({ data: [], next_cursor: null });
  }
});

test('an event goes to the webhooks of its own tenant only', async () => {
  expect(await other.publish()).toMatchObject({ deliveries: 0 });
});

test('the first tenant’s things are as they were', async () => {
  const { api } = posthorn;
  expect(await api.ok('GET', `/webhooks/${own.webhook}`)).toMatchObject({ description: null, version: 1 });
  expect(await api.ok('GET', `/event-types/${own.eventTypeName}`)).toMatchObject({ description: null, versions: [] });
  expect(await api.delivery(own.delivery!)).toMatchObject({ status: 'pending', attempt_count: 0 });
  expect(await api.ok('GET', `/replays/${own.replay}`)).toMatchObject({ state: 'running', total: null, sent: 0 });
});
