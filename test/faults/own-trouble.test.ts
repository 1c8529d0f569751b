import { otherTenant } from '../api/support';
import { type DnsServer, startDnsServer } from '../support/dns-server';
import { installationForFile, receiverForEach } from '../support/for-tests';
import { until } from '../support/until';

/** What is short or away here is no attempt, and counts against nobody. */

let away = false;
let dns: DnsServer;
/**
 * The name server's address is known once it has started, which is before the installation does. Its silence is noticed
 * after a workflow's first attempt has been handed over.
 */
const settings: Record<string, string> = { POSTHORN_DNS_TIMEOUT: '3s', POSTHORN_CONNECTIONS_PER_HOST: '1' };

beforeAll(async () => {
  dns = await startDnsServer(({ name, type }) =>
    away || name.startsWith('dead') ? 'silent' : type === 'A' ? ['127.0.0.1'] : [],
  );
  settings.POSTHORN_DNS_SERVERS = dns.address;
});
afterAll(() => dns.close());

const posthorn = installationForFile(settings);
const receiver = receiverForEach(() => ({ status: 200 }));

/** One failure that counts would open the breaker for an hour, halve the cap, and put the retry off for an hour. */
const TOUCHY = {
  retry_policy: { schedule: ['1h', '1h'] },
  circuit_breaker: { failures: 1, window: '1h', open_for: '1h' },
  disable_after: { failed_deliveries: 1, failing_for: '1h' },
};

describe.each(['express', 'workflow'])('%s', (mode) => {
  async function webhookAt(host: string): Promise<{ id: string }> {
    const { port } = new URL(receiver.url);
    return posthorn.api.ok('POST', '/webhooks', {
      url: `http://${host}:${port}/hook`,
      events: [`${mode}.${host}`],
      mode,
      ...TOUCHY,
    });
  }

  async function expectUnharmed(webhook: string, deliveries: string[]): Promise<void> {
    for (const id of deliveries) {
      const { attempts, attempt_count } = await posthorn.api.untilStatus(id, 'delivered', 60_000);
      expect(attempt_count).toBe(1);
      expect(attempts.map(({ number, status_code }) => [number, status_code])).toEqual([[1, 200]]);
    }
    const { status, health } = await posthorn.api.ok('GET', `/webhooks/${webhook}`);
    expect({ status, health }).toMatchObject({
      status: 'active',
      health: { circuit: 'closed', adaptive_max_in_flight: null, failures_in_a_row: 0, failed_deliveries_in_a_row: 0 },
    });
  }

  test('name servers that are away are no attempt, and are tried again shortly', async () => {
    const { id } = await webhookAt('hook.test');
    away = true;
    const asked = dns.asked('hook.test');
    const deliveries = await posthorn.api.publishDeliveries(`${mode}.hook.test`, 3);
    // A lookup is 3 packets for each of two families.
    await until('several tries', async () => dns.asked('hook.test') > asked + 6, 60_000);
    for (const delivery of deliveries) {
      expect(await posthorn.api.delivery(delivery)).toMatchObject({ attempt_count: 0, attempts: [] });
    }
    away = false;
    await expectUnharmed(id, deliveries);
    expect(receiver.requests).toHaveLength(3);
  });

  test('forty dead names of one tenant hold up nobody else, and are what is told of them', async () => {
    const { port } = new URL(receiver.url);
    const loud = await otherTenant(posthorn, `loud ${mode}`);
    const hook = (host: string) => ({ url: `http://${host}:${port}/hook`, events: ['*'], mode });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => loud.ok('POST', '/webhooks', hook(`dead-${n}.${mode}.test`))),
    );
    const { id } = await webhookAt('fine.test');
    // The api has asked for it, the worker not yet.
    const asked = dns.asked(`dead-1.${mode}.test`);
    const event = await loud.publish();
    expect(event.deliveries).toBe(40);
    await until('their questions', async () => dns.asked(`dead-1.${mode}.test`) > asked);
    const deliveries = await posthorn.api.publishDeliveries(`${mode}.fine.test`, 5);
    await expectUnharmed(id, deliveries);
    const [first] = await loud.deliveriesOf(event.id);
    await until(
      'the record of a dead one',
      async () => {
        const { attempts } = await loud.delivery(first!.id);
        return attempts[0]?.error?.code === 'dns_timeout';
      },
      60_000,
    );
  });

  test('requests that find no free connection are no attempts', async () => {
    receiver.setHandler(() => ({ status: 200, delayMs: 2_500 }));
    const { id } = await webhookAt('busy.test');
    const deliveries = await posthorn.api.publishDeliveries(`${mode}.busy.test`, 3);
    await expectUnharmed(id, deliveries);
    expect(receiver.requests).toHaveLength(3);
  });
});

test('a verification waits for name servers as well', async () => {
  receiver.setHandler(({ body }) => ({ status: 200, body: JSON.parse(body.toString()).challenge }));
  const { port } = new URL(receiver.url);
  const url = `http://verified.test:${port}/hook`;
  const { id } = await posthorn.api.ok('POST', '/webhooks', { url, events: ['nothing.here'] });
  away = true;
  const asked = dns.asked('verified.test');
  await posthorn.api.ok('POST', `/webhooks/${id}/verify`);
  await until('more than one try', async () => dns.asked('verified.test') > asked + 6, 60_000);
  const { verification } = await posthorn.api.ok('GET', `/webhooks/${id}`);
  expect(verification).toMatchObject({ status: 'pending', last_error: null });
  away = false;
  await until(
    'it to be verified',
    async () => (await posthorn.api.ok('GET', `/webhooks/${id}`)).verification.status === 'verified',
    60_000,
  );
});
