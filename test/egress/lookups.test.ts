import type { EgressAgentSettings } from '../../src/egress/agent';
import type { Sender } from '../../src/egress/send';
import { type DnsServer, startDnsServer, startLoopbackDns } from '../support/dns-server';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { closeAll, closeLater, errorOf, loopbackSender, post, responseOf } from './support';

/** Names are looked up by real name servers, as deliveries have it; a dead one's questions are never answered. */

let receiver: Receiver;
beforeEach(async () => {
  receiver = closeLater(await startReceiver(() => ({ status: 200 })));
});
afterEach(closeAll);

const DEAD = /^dead/;

async function dnsServer(): Promise<DnsServer> {
  return closeLater(await startLoopbackDns(DEAD));
}

function senderBy(dns: DnsServer, settings: Partial<EgressAgentSettings> = {}): Sender {
  return loopbackSender({ dnsServers: [dns.address], dnsTimeoutMs: 5_000, ...settings });
}

const to = (host: string, tenantId: string, timeoutMs = 20_000) =>
  post(`http://${host}:${new URL(receiver.url).port}/`, { tenantId, timeoutMs });

/** Sends to as many dead names, and tells what came of it so far. */
function flood(sender: Sender, count: number, tenantId: string, timeoutMs?: number) {
  const state = { codes: [] as string[] };
  for (let n = 0; n < count; n++) {
    const name = `dead-${n}.${tenantId}.test`;
    sender.send(to(name, tenantId, timeoutMs)).then(
      (result) => state.codes.push(errorOf(result).code),
      (error) => state.codes.push(error.reason),
    );
  }
  return state;
}

describe.each([24, 300])('%i dead names of one tenant', (dead) => {
  test('hold up nobody else', async () => {
    const dns = await dnsServer();
    const sender = senderBy(dns, { dnsTimeoutMs: 20_000 });
    const flooded = flood(sender, dead, 'loud', 30_000);
    for (let n = 0; n < 20; n++) {
      expect(responseOf(await sender.send(to(`fine-${n}.quiet.test`, 'quiet'))).statusCode).toBe(200);
    }
    // They were answered while nothing of the flood was done with.
    expect(flooded.codes.filter((code) => code !== 'lookup_queue')).toEqual([]);
    expect(receiver.requests).toHaveLength(20);
  });
});

test('many tenants with dead names leave a turn to one that has none under way', async () => {
  const dns = await dnsServer();
  // Full: eight tenants with two each.
  const limits = { atOnce: 16, perTenant: 2, waitMs: 20_000, rememberedMs: 0 };
  const sender = senderBy(dns, { dnsTimeoutMs: 500, lookupLimits: limits });
  for (let n = 0; n < 8; n++) flood(sender, 40, `loud-${n}`, 60_000);
  for (let n = 0; n < 3; n++) {
    expect(responseOf(await sender.send(to(`fine-${n}.test`, 'quiet'))).statusCode).toBe(200);
  }
});

test('a tenant has no more under way than its share', async () => {
  let underWay = 0;
  let most = 0;
  const resolve = async () => {
    most = Math.max(most, ++underWay);
    await new Promise((done) => setTimeout(done, 20));
    underWay--;
    return [{ address: '127.0.0.1', family: 4 }];
  };
  const lookupLimits = { atOnce: 10, perTenant: 3, waitMs: 20_000, rememberedMs: 0 };
  const sender = loopbackSender({ resolve, lookupLimits });
  const sent = Array.from({ length: 12 }, (_, n) => sender.send(to(`name-${n}.test`, 'one')));
  for (const result of await Promise.all(sent)) expect(responseOf(result).statusCode).toBe(200);
  expect(most).toBe(3);
});

test('who waits for a turn in vain is told that it is ours', async () => {
  const dns = await dnsServer();
  const lookupLimits = { atOnce: 10, perTenant: 2, waitMs: 300, rememberedMs: 0 };
  const sender = senderBy(dns, { lookupLimits, dnsTimeoutMs: 3_000 });
  const flooded = flood(sender, 4, 'loud');
  await until('two turns in vain', async () => flooded.codes.length >= 2);
  expect(flooded.codes.slice(0, 2)).toEqual(['lookup_queue', 'lookup_queue']);
  await until('the two that had their turn', async () => flooded.codes.length === 4);
  expect(flooded.codes.slice(2)).toEqual(['dns_timeout', 'dns_timeout']);
});

test('a webhook’s time does not run while it waits for its turn', async () => {
  receiver.setHandler(({ headers }) => ({ status: 200, delayMs: headers.host?.startsWith('fine') ? 1_900 : 0 }));
  const slow = (ms: number) => new Promise<string[]>((done) => setTimeout(() => done(['127.0.0.1']), ms));
  const dns = closeLater(
    await startDnsServer(({ name, type }) =>
      type !== 'A' ? [] : name.startsWith('slow') ? slow(1_200) : ['127.0.0.1'],
    ),
  );
  const lookupLimits = { atOnce: 1, perTenant: 1, waitMs: 20_000, rememberedMs: 0 };
  const sender = senderBy(dns, { lookupLimits });
  const first = sender.send(to('slow.test', 'one'));
  await until('its question', async () => dns.asked('slow.test') > 0);
  // 1.2 s for its turn and 1.9 s for the answer are more than 2.5 s.
  expect(responseOf(await sender.send(to('fine.test', 'other', 2_500))).statusCode).toBe(200);
  expect(responseOf(await first).statusCode).toBe(200);
});

describe('a name that was not answered in time', () => {
  test('comes after the tenant’s others, and holds no more than half of its turns', async () => {
    const dns = await dnsServer();
    const lookupLimits = { atOnce: 10, perTenant: 4, waitMs: 20_000, rememberedMs: 0 };
    // For longer than anybody waits for a turn.
    const sender = senderBy(dns, { dnsTimeoutMs: 3_000, lookupLimits });
    const first = flood(sender, 4, 'mixed');
    await until('all to be known as dead', async () => first.codes.length === 4);
    // All at once, again and again: two turns are left.
    let over = false;
    const again = Array.from({ length: 4 }, async (_, n) => {
      while (!over) await sender.send(to(`dead-${n}.mixed.test`, 'mixed')).catch(() => undefined);
    });
    try {
      for (let n = 0; n < 10; n++) {
        const sent = [1, 2, 3].map((m) => sender.send(to(`fine-${n}-${m}.test`, 'mixed')));
        for (const result of await Promise.all(sent)) expect(responseOf(result).statusCode).toBe(200);
      }
    } finally {
      over = true;
      await Promise.all(again);
    }
  });

  test('is asked for more and more seldom', async () => {
    const asked: number[] = [];
    const nameServers = {
      resolve: () => {
        asked.push(performance.now());
        return new Promise<never>(() => {});
      },
      answeredSince: () => true,
    };
    const lookupLimits = { atOnce: 1, perTenant: 1, waitMs: 20_000, rememberedMs: 100 };
    const sender = loopbackSender({ nameServers, dnsTimeoutMs: 20, lookupLimits });
    await until('the sixth question', async () => {
      expect(errorOf(await sender.send(to('dead.test', 'one'))).code).toBe('dns_timeout');
      return asked.length >= 6;
    });
    const gaps = asked.slice(1).map((at, n) => at - asked[n]!);
    for (const [n, ms] of [100, 200, 400, 800, 1_600].entries()) expect(gaps[n]).toBeGreaterThanOrEqual(ms);
  });

  test('is not asked for again for a while, and works once it is healthy again', async () => {
    let dead = true;
    const dns = closeLater(
      await startDnsServer(({ name, type }) => {
        if (name === 'sick.test' && dead) return 'silent';
        return type === 'A' ? ['127.0.0.1'] : [];
      }),
    );
    const lookupLimits = { atOnce: 10, perTenant: 10, waitMs: 20_000, rememberedMs: 3_000 };
    const sender = senderBy(dns, { dnsTimeoutMs: 1_000, lookupLimits });
    expect(errorOf(await sender.send(to('sick.test', 'one'))).code).toBe('dns_timeout');
    const asked = dns.asked('sick.test');
    dead = false;
    // Of another tenant as well: it is the same name.
    const again = [to('sick.test', 'one'), to('sick.test', 'other')].map((request) => sender.send(request));
    for (const result of await Promise.all(again)) expect(errorOf(result).code).toBe('dns_timeout');
    expect(dns.asked('sick.test')).toBe(asked);
    expect(responseOf(await sender.send(to('fine.test', 'one'))).statusCode).toBe(200);

    await until('it to be tried again', async () => (await sender.send(to('sick.test', 'one'))).kind === 'response');
    expect(responseOf(await sender.send(to('sick.test', 'other'))).statusCode).toBe(200);
  });

  test('is looked up once, whoever waits for it', async () => {
    const dns = await dnsServer();
    const sender = senderBy(dns, { dnsTimeoutMs: 500 });
    const sent = ['one', 'other', 'third'].map((tenantId) => sender.send(to('dead.test', tenantId)));
    for (const result of await Promise.all(sent)) expect(errorOf(result).code).toBe('dns_timeout');
    const alone = senderBy(dns, { dnsTimeoutMs: 500 });
    const asked = dns.asked('dead.test');
    await alone.send(to('dead.test', 'one'));
    // How often a lookup asks depends on how soon it is asked again: three lookups would have asked three times as often.
    expect(asked).toBeLessThan(3 * (dns.asked('dead.test') - asked));
  });
});

describe('name servers that answer nothing', () => {
  test.each([
    ['before the lookup’s limit is over', 600, 10_000],
    ['before the webhook’s is', 10_000, 1_000],
  ])('are ours, %s', async (_, dnsTimeoutMs, timeoutMs) => {
    const dns = closeLater(await startLoopbackDns(/^/));
    const sent = senderBy(dns, { dnsTimeoutMs }).send(to('name.test', 'one', timeoutMs));
    await expect(sent).rejects.toMatchObject({ name: 'OwnTroubleError', reason: 'name_servers_unavailable' });
  });

  test('are not held against the name', async () => {
    let away = true;
    const dns = closeLater(await startDnsServer(({ type }) => (away ? 'silent' : type === 'A' ? ['127.0.0.1'] : [])));
    const sender = senderBy(dns, { dnsTimeoutMs: 600 });
    await expect(sender.send(to('name.test', 'one'))).rejects.toMatchObject({ reason: 'name_servers_unavailable' });
    away = false;
    expect(responseOf(await sender.send(to('name.test', 'one'))).statusCode).toBe(200);
  });
});

describe('the policy', () => {
  test.each(['10.0.0.1', '169.254.169.254', '192.0.2.2', '::ffff:10.0.0.1'])(
    'a name that moves to %s is refused at the next connection: answers are not kept',
    async (inside) => {
      receiver.setHandler(() => ({ status: 200, headers: { connection: 'close' } }));
      let at = '127.0.0.1';
      const dns = closeLater(
        await startDnsServer(({ type }) => (type === (at.includes(':') ? 'AAAA' : 'A') ? [mapped(at)] : [])),
      );
      const sender = senderBy(dns);
      expect(responseOf(await sender.send(to('rebind.test', 'one'))).remoteAddress).toBe('127.0.0.1');
      at = inside;
      expect(errorOf(await sender.send(to('rebind.test', 'one'))).code).toBe('blocked_address');
      expect(receiver.requests).toHaveLength(1);
    },
  );

  test('the address that was found is the one connected to', async () => {
    const dns = closeLater(await startDnsServer(({ type }) => (type === 'A' ? ['127.0.0.3'] : [])));
    expect(errorOf(await senderBy(dns).send(to('elsewhere.test', 'one'))).code).toBe('connection_refused');
    expect(receiver.requests).toHaveLength(0);
  });

  test('one address inside is enough, of either family', async () => {
    for (const inside of ['10.0.0.1', 'fd00:0:0:0:0:0:0:1']) {
      const dns = closeLater(
        await startDnsServer(({ type }) => {
          if (type === 'A') return inside.includes(':') ? ['127.0.0.1'] : ['127.0.0.1', inside];
          return inside.includes(':') ? [inside] : [];
        }),
      );
      expect(errorOf(await senderBy(dns).send(to('mixed.test', 'one'))).code).toBe('blocked_address');
    }
    expect(receiver.requests).toHaveLength(0);
  });

  test.each(['postgres', 'intranet.', 'xn--mnchen-3ya'])('%s is not even looked up', async (name) => {
    const dns = await dnsServer();
    expect(errorOf(await senderBy(dns).send(to(name, 'one')))).toEqual({ stage: 'blocked', code: 'blocked_address' });
    expect(dns.questions).toEqual([]);
  });

  test('localhost and addresses work without name servers', async () => {
    const dns = await dnsServer();
    const sender = senderBy(dns);
    for (const host of ['localhost', '127.0.0.1', '2130706433']) {
      expect(responseOf(await sender.send(to(host, 'one'))).statusCode).toBe(200);
    }
    expect(dns.questions).toEqual([]);
  });
});

/** In the groups that the test's name server writes. */
function mapped(address: string): string {
  return address === '::ffff:10.0.0.1' ? '0:0:0:0:0:ffff:a00:1' : address;
}
