import { type AddressInfo, createServer } from 'node:net';
import { createAddressPolicy } from '../../src/egress/address-policy';
import { startReceiver } from '../support/receiver';
import {
  closeAll,
  closeLater,
  deafPort,
  errorOf,
  hanging,
  loopbackSender,
  post,
  type Resolve,
  rawServer,
  responseOf,
  to,
} from './support';

afterEach(closeAll);

const publicOnly = createAddressPolicy({ allowedCidrs: [] });

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('addresses', () => {
  test.each([
    ...['127.0.0.1', '2130706433', '0x7f.1', '127.1', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
    ...['169.254.169.254', '0.0.0.0', '[fd00:ec2::254]', '[64:ff9b::a9fe:a9fe]', 'localhost'],
  ])('%s is blocked, and the message does not say why', async (host) => {
    const receiver = closeLater(await startReceiver());
    const { port } = new URL(receiver.url);
    const result = await loopbackSender({ policy: publicOnly }).send(post(`http://${host}:${port}/`));
    expect(result).toMatchObject({
      kind: 'error',
      stage: 'blocked',
      code: 'blocked_address',
      message: 'The host is not at an address that deliveries may reach',
      remoteAddress: null,
    });
    expect(receiver.requests).toHaveLength(0);
  });

  test('a name with one address inside is blocked even if the others are outside', async () => {
    const server = await rawServer(() => {}, 'eager');
    const resolve = to('8.8.8.8', '2606:4700:4700::1111', '127.0.0.1');
    const sender = loopbackSender({ policy: publicOnly, resolve });
    expect(errorOf(await sender.send(post(`http://mixed.test:${server.port}/`))).code).toBe('blocked_address');
    expect(server.connections()).toBe(0);
  });

  test('what was checked is what is connected to, and every new connection is checked', async () => {
    const receiver = closeLater(await startReceiver(() => ({ status: 200, headers: { connection: 'close' } })));
    const { port } = new URL(receiver.url);
    let lookups = 0;
    // Rebinding: the name is at a permitted address once, and at a forbidden one ever after.
    const resolve: Resolve = async () => [{ address: ++lookups === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
    const sender = loopbackSender({ resolve });
    const url = `http://rebind.test:${port}/`;
    expect(responseOf(await sender.send(post(url))).remoteAddress).toBe('127.0.0.1');
    expect(receiver.requests[0]?.headers.host).toBe(`rebind.test:${port}`);
    expect(errorOf(await sender.send(post(url))).code).toBe('blocked_address');
    expect(lookups).toBe(2);
    expect(receiver.requests).toHaveLength(1);
  });

  test('when one address does not answer, the next is tried', async () => {
    const receiver = closeLater(await startReceiver());
    const { port } = new URL(receiver.url);
    const sender = loopbackSender({ resolve: to('127.0.0.2', '::1', '127.0.0.1') });
    expect(responseOf(await sender.send(post(`http://several.test:${port}/`))).remoteAddress).toBe('127.0.0.1');
  });
});

describe('names', () => {
  const failing =
    (code: string): Resolve =>
    async () => {
      throw Object.assign(new Error(`getaddrinfo ${code} 10.1.2.3`), { code });
    };

  test.each([
    ['dns_not_found', failing('ENOTFOUND')],
    ['dns_not_found', to()],
    ['dns_failed', failing('EAI_AGAIN')],
    ['dns_timeout', (() => new Promise<never>(() => {})) as Resolve],
  ])('%s', async (code, resolve) => {
    const result = await loopbackSender({ resolve, dnsTimeoutMs: 100 }).send(post('http://name.test/'));
    expect(errorOf(result)).toEqual({ stage: 'dns', code });
    expect(JSON.stringify(result)).not.toContain('10.1.2.3');
  });

  test('a name that hangs is looked up once, however many wait for it', async () => {
    let lookups = 0;
    const resolve: Resolve = () => {
      lookups++;
      return new Promise(() => {});
    };
    const sender = loopbackSender({ resolve, dnsTimeoutMs: 100 });
    const results = await Promise.all([1, 2, 3, 4].map(() => sender.send(post('http://hanging.test/'))));
    for (const result of results) expect(errorOf(result).code).toBe('dns_timeout');
    expect(lookups).toBe(1);
  });
});

describe('connecting', () => {
  test('refused', async () => {
    const port = await closedPort();
    const sender = loopbackSender({ resolve: to('127.0.0.1', '::1') });
    for (const host of ['127.0.0.1', 'refused.test']) {
      const result = await sender.send(post(`http://${host}:${port}/`));
      expect(errorOf(result)).toEqual({ stage: 'connect', code: 'connection_refused' });
    }
  });

  test('more requests than connections to a port that refuses all end at once', async () => {
    const url = `http://127.0.0.1:${await closedPort()}/`;
    const sender = loopbackSender({ maxConnectionsPerOrigin: 2 });
    const results = await Promise.all(Array.from({ length: 20 }, () => sender.send(post(url, { timeoutMs: 5_000 }))));
    for (const result of results) expect(errorOf(result).code).toBe('connection_refused');
  });
});

describe.each([
  ['the phase’s own limit', { connectTimeoutMs: 300, timeoutMs: 20_000 }],
  ['the whole limit', { connectTimeoutMs: 20_000, timeoutMs: 300 }],
])('the phase in which %s runs out', (_, { connectTimeoutMs, timeoutMs }) => {
  const sendTo = async (url: string, resolve?: Resolve) =>
    errorOf(
      await loopbackSender({ connectTimeoutMs, dnsTimeoutMs: connectTimeoutMs, resolve }).send(
        post(url, { timeoutMs }),
      ),
    );

  test.each(['http', 'https'])('DNS, over %s', async (scheme) => {
    expect(await sendTo(`${scheme}://name.test/`, hanging())).toEqual({ stage: 'dns', code: 'dns_timeout' });
  });

  test.each(['http', 'https'])('TCP, over %s', async (scheme) => {
    const port = await deafPort();
    const late = { stage: 'connect', code: 'connect_timeout' };
    expect(await sendTo(`${scheme}://127.0.0.1:${port}/`)).toEqual(late);
    expect(await sendTo(`${scheme}://name.test:${port}/`, to('127.0.0.1'))).toEqual(late);
  });

  test('TLS', async () => {
    const server = await rawServer(() => {}, 'eager');
    const late = { stage: 'tls', code: 'tls_timeout' };
    expect(await sendTo(`https://127.0.0.1:${server.port}/`)).toEqual(late);
    expect(await sendTo(`https://name.test:${server.port}/`, to('127.0.0.1', '::1'))).toEqual(late);
    expect(server.connections()).toBe(2);
  });
});

test('a slot that was in TLS begins again at DNS', async () => {
  const server = await rawServer(() => {}, 'eager');
  let lookups = 0;
  const later = hanging();
  const resolve: Resolve = (...asked) => (++lookups === 1 ? to('127.0.0.1') : later)(...asked);
  const sender = loopbackSender({ connectTimeoutMs: 300, dnsTimeoutMs: 300, maxConnectionsPerOrigin: 1, resolve });
  const url = `https://name.test:${server.port}/`;
  expect(errorOf(await sender.send(post(url))).code).toBe('tls_timeout');
  expect(errorOf(await sender.send(post(url))).code).toBe('dns_timeout');
});
