import type { ParamKind } from '../../src/api/route';
import { createApiKey } from '../../src/db/store/administration';
import { newUuid, parsePublicId, toPublicId } from '../../src/domain/ids';
import type { Scope, TenantScope } from '../../src/domain/scopes';
import { TestApi } from '../support/api';
import type { Installation } from '../support/installation';
import { sql, withDatabase } from './support';

/** Public ids of one tenant's things, one of each kind that paths name. */
export type Things = Partial<Record<ParamKind, string>> & { webhook: string; delivery: string; tenant: string };

/** How to call a route that changes something, so that it does. */
export type Sample = {
  /** A good body, naming the tenant's things wherever it can name any; absent: the route needs none. */
  body?: (things: Things) => unknown;
  /** Settings that the webhook must have. */
  webhook?: Record<string, unknown>;
  /** What has to be so besides. */
  prepare?: (posthorn: Installation, things: Things) => Promise<unknown>;
};

const hook = () => ({ url: 'http://127.0.0.1:9', events: ['*'] });
const since = () => new Date(Date.now() - 3_600_000);

/** One entry for every route but those that only read. */
export const samples: Record<string, Sample> = {
  'POST /events': { body: () => ({ type: 'order.created', data: {} }) },
  'POST /events/batch': { body: () => ({ events: [{ type: 'order.created', data: {} }] }) },
  'POST /events/:event/replay': { body: ({ webhook }) => ({ webhook_ids: [webhook] }) },
  'POST /webhooks': { body: hook },
  'POST /webhooks/subscribe': { body: hook },
  'PATCH /webhooks/:webhook': { body: () => ({ description: 'changed' }) },
  'DELETE /webhooks/:webhook': {},
  'POST /webhooks/:webhook/pause': {},
  'POST /webhooks/:webhook/resume': {},
  'POST /webhooks/:webhook/disable': {},
  'POST /webhooks/:webhook/enable': {},
  'POST /webhooks/:webhook/skip': { webhook: { ordered: true } },
  'POST /webhooks/:webhook/secret/rotate': {},
  'POST /webhooks/:webhook/verify': {},
  'POST /webhooks/:webhook/test': {},
  'POST /webhooks/sample': { body: () => ({ signature: { header: 'X-Signed' }, body: '{}' }) },
  'POST /webhooks/:webhook/sample': {},
  'POST /webhooks/:webhook/replay': { body: () => ({ since: since() }) },
  'POST /webhooks/:webhook/deliveries/:delivery/retry': {},
  'POST /webhooks/deliveries/:delivery/retry': {},
  'POST /deliveries/:delivery/retry': {},
  'POST /deliveries/:delivery/cancel': {},
  'POST /deliveries/:delivery/reschedule': {
    body: () => ({ at: new Date(Date.now() + 3_600_000) }),
    prepare: (posthorn, { delivery }) =>
      sql(
        posthorn,
        `update delivery_queue set timed = true, attempt = 1, next_attempt_at = now() + interval '1 day' where delivery_id = $1`,
        [parsePublicId('delivery', delivery)],
      ),
  },
  'POST /replays/:replay/cancel': {},
  'POST /dead-letters/replay': { body: ({ webhook }) => ({ webhook_id: webhook }) },
  'POST /dead-letters/discard': { body: ({ delivery }) => ({ delivery_ids: [delivery] }) },
  'POST /event-types': { body: () => ({ name: 'samples.made' }) },
  'POST /event-types/seed': {},
  'PATCH /event-types/:name': { body: () => ({ description: 'changed' }) },
  'DELETE /event-types/:name': {},
  'POST /event-types/:name/versions': { body: () => ({ version: '1.0' }) },
  'PATCH /settings': { body: () => ({ unknown_event_versions: 'refuse' }) },
  'POST /tenants': { body: () => ({ name: `tenant ${newUuid()}` }) },
  'POST /api-keys': { body: ({ tenant }) => ({ tenant_id: tenant, scopes: ['read'] }) },
  'POST /api-keys/:key/revoke': {},
};

/** Makes one thing of each kind for the tenant of this key. */
export async function makeThings(posthorn: Installation, api: TestApi, { webhook }: Sample = {}): Promise<Things> {
  const { id } = await api.createWebhook({ url: 'http://127.0.0.1:9' }, webhook);
  // Of a type that no sample describes: a schema would ask for more.
  const { id: event } = await api.publish('samples.event');
  const [delivery] = (await api.deliveriesOf(event)).filter((one) => one.webhook_id === id);
  const { id: replay } = await api.ok<{ id: string }>('POST', `/webhooks/${id}/replay`, { since: since() });
  const eventTypeName = `samples.t${newUuid().slice(-12)}`;
  await api.ok('POST', '/event-types', { name: eventTypeName });
  const tenantId = await tenantOf(posthorn, id);
  const { record } = await makeKey(posthorn, { tenantId, scopes: ['read'] });
  const { id: attempt } = await api.ok<{ id: string }>('POST', `/webhooks/${id}/test`);
  // No worker makes it, and a tenant may have few at once.
  await sql(posthorn, `update webhook_tests set created_at = now() - interval '1 hour' where tenant_id = $1`, [
    tenantId,
  ]);
  return {
    webhook: id,
    event,
    attempt,
    delivery: delivery!.id,
    replay,
    eventTypeName,
    tenant: toPublicId('tenant', tenantId),
    apiKey: toPublicId('apiKey', record.id),
  };
}

/** The API as an administrator, who has no tenant, sees it. */
export async function asAdmin(posthorn: Installation): Promise<TestApi> {
  return new TestApi(posthorn.api.url, (await makeKey(posthorn, 'admin')).key);
}

/** The API by a key of its own, with these scopes of the tenant. */
export async function withScopes(posthorn: Installation, tenant: string, scopes: TenantScope[]): Promise<TestApi> {
  const tenantId = parsePublicId('tenant', tenant)!;
  return new TestApi(posthorn.api.url, (await makeKey(posthorn, { tenantId, scopes })).key);
}

export const isTenantScope = (scope: Scope): scope is TenantScope => scope !== 'admin';

function makeKey(posthorn: Installation, owner: 'admin' | { tenantId: string; scopes: TenantScope[] }) {
  return withDatabase(posthorn, ({ kysely }) =>
    createApiKey(kysely, 'test', {
      owner: owner === 'admin' ? { kind: 'admin' } : { kind: 'tenant', ...owner },
      name: null,
      expiresInMs: null,
      createdBy: 'test',
    }),
  );
}

async function tenantOf(posthorn: Installation, webhook: string): Promise<string> {
  const id = parsePublicId('webhook', webhook);
  const [row] = await sql<{ tenant_id: string }>(posthorn, 'select tenant_id from webhooks where id = $1', [id]);
  return row!.tenant_id;
}

/**
 * Every row of every table as a hash, so that any change shows; partitions count with their table. Left out is when
 * keys were used, which is noted at any time.
 */
export async function allRows(posthorn: Installation): Promise<string[]> {
  const tables = await sql<{ name: string }>(
    posthorn,
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
       and not relispartition and relname not like 'kysely%' order by 1`,
  );
  const each = tables.map(
    ({ name }) => `select '${name} ' || md5((to_jsonb(t) - 'last_used_at')::text) as row from ${name} t`,
  );
  const rows = await sql<{ row: string }>(posthorn, `${each.join(' union all ')} order by 1`);
  return rows.map(({ row }) => row);
}
