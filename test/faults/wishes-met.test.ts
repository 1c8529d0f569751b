import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestApi } from '../support/api';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import type { RoleProcess } from '../support/processes';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { createSite, pass, type Site } from './support';

/** What an operator was answered is met: nothing is sent after it that they did not want. */

const LIMIT_MS = 120_000;
jest.setTimeout(LIMIT_MS + 120_000);

let site: Site;
let api: TestApi;
let worker: RoleProcess;
const receivers: Receiver[] = [];

afterEach(async () => {
  worker?.resume();
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

async function endpoint(type: string, handler: Parameters<typeof startReceiver>[0], settings: object = {}) {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  const webhook = await api.createWebhook(receiver, { events: [type], circuit_breaker: null, ...settings });
  return { receiver, ...webhook };
}

const states = async (ids: string[]) => {
  const shown: string[] = [];
  for (const id of ids) {
    const { status } = await api.ok('GET', `/deliveries/${id}`);
    const live = await api.ok('GET', `/deliveries/${id}/status`);
    const list = await api.ok('GET', `/deliveries?status=${status}&limit=100`);
    const listed = list.data.some((one: { id: string }) => one.id === id);
    shown.push(live.status === status && listed ? status : `${status}, ${live.status}, ${listed}`);
  }
  return shown;
};

describe('retries whose time has come and that find no slot', () => {
  const WAITING = 6;

  /** One retry hangs on the only slot; the others are due behind it. Returns those, and lets the first one go. */
  async function dueWithoutSlot(): Promise<{ ids: string[]; receiver: Receiver; free: () => void }> {
    site = await createSite({ POSTHORN_DELIVERY_MODE: 'workflow', POSTHORN_MAX_RETRIES_IN_FLIGHT: '1' });
    api = await site.startApi();
    worker = await site.startWorker();
    let free = () => {};
    const hanging = new Promise<void>((resolve) => {
      free = resolve;
    });
    const blocking = await endpoint(
      'slot.taken',
      async ({ headers }) => {
        if (headers['x-webhook-attempt'] === '1') return { status: 500 };
        await hanging;
        return { status: 204 };
      },
      { retry_policy: { schedule: ['1s'], jitter: 0 }, timeout: '30s' },
    );
    await api.publish('slot.taken');
    await blocking.receiver.waitFor(2, LIMIT_MS);
    const { receiver } = await endpoint(
      'slot.wanted',
      ({ headers }) => ({
        status: headers['x-webhook-attempt'] === '1' ? 500 : 204,
      }),
      { retry_policy: { schedule: ['1s'], jitter: 0 } },
    );
    const ids = await api.publishDeliveries('slot.wanted', WAITING);
    for (const id of ids) await api.untilStatus(id, 'retrying', LIMIT_MS);
    await until(
      'all of them to be due',
      async () => {
        const [row] = await site.query(`select count(*)::int as n from delivery_queue
        where timed and next_attempt_at < now() - interval '1 s'`);
        return row.n >= WAITING;
      },
      LIMIT_MS,
    );
    return { ids, receiver, free };
  }

  test('are shown as what they are, and a cancel of them is met', async () => {
    const { ids, receiver, free } = await dueWithoutSlot();
    expect(await states(ids)).toEqual(Array(WAITING).fill('retrying'));
    for (const id of ids) {
      expect(await api.call('POST', `/deliveries/${id}/cancel`)).toMatchObject({
        status: 202,
        body: { status: 'cancelled', attempt_count: 1 },
      });
    }
    free();
    await nothingMore(receiver, WAITING);
    expect(await states(ids)).toEqual(Array(WAITING).fill('cancelled'));
    const { data } = await api.ok('GET', '/audit-log?action=delivery.cancel&limit=100');
    expect(data).toHaveLength(WAITING);
  });

  test('a reschedule of them is met', async () => {
    const { ids, receiver, free } = await dueWithoutSlot();
    const at = new Date(Date.now() + 3_600_000).toISOString();
    for (const id of ids) await api.ok('POST', `/deliveries/${id}/reschedule`, { at });
    free();
    await nothingMore(receiver, WAITING);
    expect(await states(ids)).toEqual(Array(WAITING).fill('retrying'));
    for (const id of ids) expect(await api.delivery(id)).toMatchObject({ next_attempt_at: at, attempt_count: 1 });
    // And the one after it, for now, too.
    await api.ok('POST', `/deliveries/${ids[0]}/reschedule`, { at: new Date(Date.now() + 500).toISOString() });
    await api.untilStatus(ids[0]!, 'delivered', LIMIT_MS);
    expect(receiver.requests).toHaveLength(WAITING + 1);
  });

  test('a deletion of their webhook is met', async () => {
    const { ids, receiver, free } = await dueWithoutSlot();
    const { webhook_id } = await api.ok('GET', `/deliveries/${ids[0]}`);
    await api.ok('DELETE', `/webhooks/${webhook_id}`);
    free();
    for (const id of ids) await api.untilStatus(id, 'cancelled', LIMIT_MS);
    await nothingMore(receiver, WAITING);
  });

  test('a pause of their webhook is met', async () => {
    const { ids, receiver, free } = await dueWithoutSlot();
    const { webhook_id } = await api.ok('GET', `/deliveries/${ids[0]}`);
    await api.ok('POST', `/webhooks/${webhook_id}/pause`);
    free();
    for (const id of ids) await api.untilStatus(id, 'held', LIMIT_MS);
    await nothingMore(receiver, WAITING);
    await api.ok('POST', `/webhooks/${webhook_id}/resume`);
    for (const id of ids) await api.untilStatus(id, 'delivered', LIMIT_MS);
  });

  /** Long enough for what would come: the slot was free, and attempts follow at once. */
  async function nothingMore(receiver: Receiver, count: number): Promise<void> {
    await until(
      'the slot to be free',
      async () => {
        const { data } = await api.ok('GET', '/deliveries?event_type=slot.taken&status=delivered');
        return data.length === 1;
      },
      LIMIT_MS,
    );
    await pass(3_000);
    expect(receiver.requests).toHaveLength(count);
  }
});

describe.each(['express', 'workflow'])(
  'a worker that is stopped in mode %s with a POST in hand that is not sent yet',
  (mode) => {
    let gate: HoldingProxy;
    let secure: ReturnType<typeof createServer>;
    const arrived: { path: string; signature: string; at: number }[] = [];
    const fixture = (name: string) => path.join(__dirname, '..', 'support', 'fixtures', name);

    /** The endpoint speaks TLS, and its hello is held back: the request is written once that has come. */
    beforeEach(async () => {
      arrived.length = 0;
      const certificate = {
        key: readFileSync(fixture('self-signed-key.pem')),
        cert: readFileSync(fixture('self-signed-cert.pem')),
      };
      secure = createServer(certificate, (incoming, answer) => {
        arrived.push({
          path: incoming.url!,
          signature: String(incoming.headers['webhook-signature']),
          at: Date.now(),
        });
        incoming.resume().on('end', () => answer.writeHead(204).end());
      });
      await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
      gate = await startHoldingProxy((secure.address() as AddressInfo).port);
      site = await createSite({ POSTHORN_DELIVERY_MODE: mode, POSTHORN_CONNECT_TIMEOUT: '30s' });
      api = await site.startApi();
      worker = await site.startWorker({ NODE_EXTRA_CA_CERTS: fixture('self-signed-cert.pem') });
    });
    afterEach(async () => {
      gate.release();
      worker.resume();
      await gate.close();
      secure.closeAllConnections();
      secure.close();
    });

    /** The worker stands still with the connection open and the request not written. */
    async function stoppedInTheMiddle(): Promise<{ id: string; webhookId: string }> {
      const url = `https://localhost:${gate.port}/old`;
      const webhook = await api.ok('POST', '/webhooks', { url, events: ['stop.go'], timeout: '30s' });
      gate.hold();
      const id = await api.onlyDelivery((await api.publish('stop.go')).id);
      await api.untilStatus(id, 'in_progress', LIMIT_MS);
      await sleep(1_000);
      worker.suspend();
      gate.release();
      return { id, webhookId: webhook.id };
    }

    /** Longer than what counts as a pause. */
    async function goOn(): Promise<void> {
      await sleep(4_000);
      expect(arrived).toEqual([]);
      worker.resume();
    }

    test('does not send what was cancelled meanwhile', async () => {
      const { id } = await stoppedInTheMiddle();
      expect((await api.call('POST', `/deliveries/${id}/cancel`)).status).toBe(202);
      await goOn();
      await api.untilStatus(id, 'cancelled', LIMIT_MS);
      await pass(2_000);
      expect(arrived).toEqual([]);
      expect(await api.delivery(id)).toMatchObject({ attempt_count: 0, attempts: [] });
    });

    test('does not send what its deleted webhook was to get', async () => {
      const { id, webhookId } = await stoppedInTheMiddle();
      await api.ok('DELETE', `/webhooks/${webhookId}`);
      await goOn();
      await api.untilStatus(id, 'cancelled', LIMIT_MS);
      await pass(2_000);
      expect(arrived).toEqual([]);
    });

    test('does not send while its webhook is paused', async () => {
      const { id, webhookId } = await stoppedInTheMiddle();
      await api.ok('POST', `/webhooks/${webhookId}/pause`);
      await goOn();
      await api.untilStatus(id, 'held', LIMIT_MS);
      expect(arrived).toEqual([]);
      await api.ok('POST', `/webhooks/${webhookId}/resume`);
      await api.untilStatus(id, 'delivered', LIMIT_MS);
    });

    test('sends to the new URL, signed with the new secret', async () => {
      const { id, webhookId } = await stoppedInTheMiddle();
      await api.ok('PATCH', `/webhooks/${webhookId}`, { url: `https://localhost:${gate.port}/new` });
      await api.ok('POST', `/webhooks/${webhookId}/secret/rotate`, { grace: '0s' });
      await goOn();
      await api.untilStatus(id, 'delivered', LIMIT_MS);
      expect(arrived.map((one) => one.path)).toEqual(['/new']);
      // One signature: the old secret signs no more.
      expect(arrived[0]!.signature.split(' ')).toHaveLength(1);
    });
  },
);
