import type { WebhookStatus } from '../../src/domain/delivery';
import { type Installation, startInstallation } from '../support/installation';
import { expectProblem, otherTenant, sql } from './support';

/** What operators do to a whole webhook. Nothing is delivered here. */
let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const url = 'http://127.0.0.1:9/hook';
type Status = WebhookStatus;
type Action = 'pause' | 'resume' | 'disable' | 'enable';

const uuidOf = `(select webhook_id from subscriptions where pattern = $1)`;
let made = 0;

/** A webhook of its own, for a type of its own by which `setGate` finds it. */
async function webhookThatIs(status: Status, settings: object = {}) {
  const type = `control.n${++made}`;
  const { id } = await posthorn.api.createWebhook({ url }, { url, events: [type], ...settings });
  if (status !== 'active') await act(id, status === 'paused' ? 'pause' : 'disable');
  const setGate = (change: string) =>
    sql(posthorn, `update webhook_gates set ${change} where webhook_id = ${uuidOf}`, [type]);
  return { id, type, setGate };
}
const act = (id: string, action: Action | 'skip') => posthorn.api.call('POST', `/webhooks/${id}/${action}`);
const read = (id: string) => posthorn.api.ok('GET', `/webhooks/${id}`);
const auditOf = async (id: string) =>
  (await sql<{ action: string }>(posthorn, 'select action from audit_log where target = $1 order by id', [id])).map(
    ({ action }) => action,
  );

const ALLOWED: [Status, Action, Status][] = [
  ['active', 'pause', 'paused'],
  ['active', 'resume', 'active'],
  ['active', 'disable', 'disabled'],
  ['active', 'enable', 'active'],
  ['paused', 'pause', 'paused'],
  ['paused', 'resume', 'active'],
  ['paused', 'disable', 'disabled'],
  ['disabled', 'disable', 'disabled'],
  ['disabled', 'enable', 'active'],
];
const REFUSED: [Status, Action, RegExp][] = [
  ['paused', 'enable', /paused cannot be enabled. Resume it/],
  ['disabled', 'pause', /disabled cannot be paused. Enable it/],
  ['disabled', 'resume', /disabled cannot be resumed. Enable it/],
];

describe('a webhook', () => {
  test.each(ALLOWED)('that is %s can be told to %s, and is %s then', async (from, action, to) => {
    const { id } = await webhookThatIs(from);
    const before = await read(id);
    const answer = await act(id, action);
    expect(answer).toMatchObject({ status: 200, body: { id, status: to, active: to === 'active' } });
    expect(answer.body.status_reason).toBe(to === 'disabled' ? 'operator' : null);
    // Where it was there already, it has been there since then.
    if (from === to) expect(answer.body.status_since).toBe(before.status_since);
    else expect(answer.body.status_since).not.toBe(before.status_since);
    expect(await read(id)).toEqual(answer.body);
    expect((await auditOf(id)).at(-1)).toBe(`webhook.${action}`);
  });

  test.each(REFUSED)('that is %s cannot be told to %s, and is left as it is', async (from, action, hint) => {
    const { id } = await webhookThatIs(from);
    const before = await read(id);
    const answer = await act(id, action);
    expectProblem(answer, { status: 409, code: 'state_conflict' });
    expect(answer.body.detail).toMatch(hint);
    expect(await read(id)).toEqual(before);
  });

  test.each(REFUSED)('that is %s has no line in the audit log of what was refused: %s', async (from, action) => {
    const { id } = await webhookThatIs(from);
    const before = await auditOf(id);
    await act(id, action);
    expect(await auditOf(id)).toEqual(before);
  });

  test('that Posthorn disabled keeps its reason and time when it is disabled again, and loses them when enabled', async () => {
    const { id, setGate } = await webhookThatIs('disabled');
    await setGate(`status_reason = 'gone', status_since = now() - interval '1 h'`);
    const before = await read(id);
    expect(before).toMatchObject({ status: 'disabled', status_reason: 'gone' });
    expectProblem(await act(id, 'pause'), { status: 409, code: 'state_conflict' });
    expect((await act(id, 'disable')).body).toEqual(before);
    const { body } = await act(id, 'enable');
    expect(body).toMatchObject({ status: 'active', status_reason: null });
    expect(body.status_since).not.toBe(before.status_since);
  });

  test.each<[Status, Action]>([
    ['paused', 'resume'],
    ['active', 'resume'],
    ['disabled', 'enable'],
  ])('that is %s forgets with %s what its gate has found out', async (from, action) => {
    const { id, setGate } = await webhookThatIs(from);
    await setGate(`breaker_until = now() + interval '1 h', breaker_open_ms = 3600000, blocked_until = now() + interval '1 h', adaptive_cap = 2,
      failures = 12, failures_since = now(), failing_since = now(), failed_in_a_row = 4`);
    expect((await read(id)).health).toEqual({
      ...{ circuit: 'open', circuit_open_until: expect.any(String), throttled_until: expect.any(String) },
      ...{ failures_in_a_row: 12, failed_deliveries_in_a_row: 4, failing_since: expect.any(String) },
      adaptive_max_in_flight: 2,
    });
    expect((await act(id, action)).body.health).toEqual({
      ...{ circuit: 'closed', circuit_open_until: null, throttled_until: null },
      ...{ failures_in_a_row: 0, failed_deliveries_in_a_row: 0, failing_since: null },
      adaptive_max_in_flight: null,
    });
  });

  test('that is paused keeps what its gate has found out', async () => {
    const { id, setGate } = await webhookThatIs('active');
    await setGate(`breaker_until = now() - interval '1 s', failures = 12`);
    const { body } = await act(id, 'pause');
    expect(body.health).toMatchObject({ circuit: 'half_open', circuit_open_until: null, failures_in_a_row: 12 });
  });

  test('has every move in the audit log, with who made it', async () => {
    const { id } = await webhookThatIs('active');
    for (const action of ['pause', 'resume', 'disable', 'enable'] as const) await act(id, action);
    const [key] = await sql<{ id: string }>(posthorn, 'select id from api_keys order by created_at limit 1');
    const entries = await sql(posthorn, 'select actor, action from audit_log where target = $1 order by id', [id]);
    expect(entries).toEqual(
      ['create', 'pause', 'resume', 'disable', 'enable'].map((action) => ({
        actor: key!.id,
        action: `webhook.${action}`,
      })),
    );
  });

  test.each(['pause', 'resume', 'disable', 'enable', 'skip'] as const)(
    'cannot be told to %s by another tenant',
    async (action) => {
      const { id } = await webhookThatIs('active', { ordered: true });
      const before = await read(id);
      const other = await otherTenant(posthorn, `other ${action}`);
      expectProblem(await other.call('POST', `/webhooks/${id}/${action}`), { status: 404, code: 'not_found' });
      expect(await read(id)).toEqual(before);
      expect(await auditOf(id)).toEqual(['webhook.create']);
    },
  );

  test('that was deleted cannot be told anything', async () => {
    const { id } = await webhookThatIs('active');
    await posthorn.api.ok('DELETE', `/webhooks/${id}`);
    for (const action of ['pause', 'resume', 'disable', 'enable', 'skip'] as const) {
      expectProblem(await act(id, action), { status: 404, code: 'not_found' });
    }
  });
});

describe('skipping', () => {
  test('cancels the first delivery that waits, and then the next', async () => {
    const { id, type } = await webhookThatIs('paused', { ordered: true });
    const deliveries: string[] = [];
    for (let n = 0; n < 3; n++) deliveries.push(await posthorn.api.onlyDelivery((await posthorn.api.publish(type)).id));
    for (const next of deliveries.slice(0, 2)) {
      expect(await act(id, 'skip')).toMatchObject({ status: 202, body: { skipped: next } });
      expect(await posthorn.api.delivery(next)).toMatchObject({ status: 'cancelled', attempt_count: 0 });
      expect(await auditOf(next)).toEqual(['delivery.cancel']);
    }
    expect(await posthorn.api.delivery(deliveries[2]!)).toMatchObject({ status: 'held' });
  });

  test('goes by the order of publishing, not by priority', async () => {
    const { id, type } = await webhookThatIs('paused', { ordered: true });
    const published: string[] = [];
    for (const priority of ['low', 'high']) {
      const event = await posthorn.api.ok('POST', '/events', { type, data: {}, priority });
      published.push(await posthorn.api.onlyDelivery(event.id));
    }
    expect((await act(id, 'skip')).body).toEqual({ skipped: published[0] });
  });

  test('is refused where nothing waits, and for a webhook that is not ordered', async () => {
    const idle = await webhookThatIs('active', { ordered: true });
    expectProblem(await act(idle.id, 'skip'), { status: 409, code: 'state_conflict' });
    const unordered = await webhookThatIs('paused');
    const delivery = await posthorn.api.onlyDelivery((await posthorn.api.publish(unordered.type)).id);
    expectProblem(await act(unordered.id, 'skip'), { status: 409, code: 'state_conflict' });
    expect(await posthorn.api.delivery(delivery)).toMatchObject({ status: 'held' });
  });
});
