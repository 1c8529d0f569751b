import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { OwnTroubleError } from '../../src/domain/own-trouble';
import { parseEgressProxy } from '../../src/egress/proxy';
import { type ConnectProxy, startConnectProxy } from '../support/connect-proxy';
import { startReceiver } from '../support/receiver';
import {
  certificate,
  closeAll,
  closeLater,
  deafPort,
  loopbackSender,
  post,
  rawServer,
  responseOf,
  to,
} from './support';

afterEach(closeAll);

const pem = (name: string) => readFileSync(join(__dirname, '../support/fixtures/tls', `${name}.pem`), 'utf8');
const root = pem('ca-root');
const viaPort = (port: number, credentials = '') => parseEgressProxy(`http://${credentials}127.0.0.1:${port}`)!;
const via = (proxy: ConnectProxy, credentials?: string) => viaPort(proxy.port, credentials);
const proxyThat = async (...decide: Parameters<typeof startConnectProxy>) =>
  closeLater(await startConnectProxy(...decide));

async function secureReceiver(cert = pem('many-names')) {
  const names: unknown[] = [];
  const server = createHttpsServer({ key: certificate.key, cert }, (request, response) => {
    names.push([(request.socket as TLSSocket & { servername?: unknown }).servername, request.headers.host]);
    response.end('secure');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closeLater({
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  });
  return { names, port: (server.address() as AddressInfo).port };
}

async function closedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('through a proxy', () => {
  test('http: it is asked for the address that was judged, never for the name, and the connection is kept', async () => {
    const receiver = closeLater(await startReceiver());
    const { port } = new URL(receiver.url);
    const proxy = await proxyThat();
    const sender = loopbackSender({ proxy: via(proxy), resolve: to('127.0.0.1'), maxConnectionsPerOrigin: 1 });
    for (let n = 0; n < 3; n++) {
      const result = responseOf(await sender.send(post(`http://plain.test:${port}/x`)));
      expect([result.statusCode, result.remoteAddress]).toEqual([204, '127.0.0.1']);
    }
    expect(proxy.asked).toEqual([{ authority: `127.0.0.1:${port}`, authorization: undefined }]);
    expect(receiver.requests.map(({ headers, path }) => [headers.host, path])).toEqual(
      Array(3).fill([`plain.test:${port}`, '/x']),
    );
    for (const { headers } of receiver.requests) expect(headers).not.toHaveProperty('proxy-authorization');
    expect(proxy.bytes()).toBeGreaterThan(0);
  });

  test.each(['plain.test', 'plain.test.', 'bücher.example', '127.0.0.1'])(
    'https to %s: TLS is with the endpoint',
    async (host) => {
      const { names, port } = await secureReceiver();
      const proxy = await proxyThat();
      const sender = loopbackSender({ proxy: via(proxy), certificateAuthorities: [root], resolve: to('127.0.0.1') });
      const result = responseOf(await sender.send(post(`https://${host}:${port}/`)));
      expect([result.body.toString(), result.remoteAddress]).toEqual(['secure', '127.0.0.1']);
      expect(proxy.asked).toEqual([{ authority: `127.0.0.1:${port}`, authorization: undefined }]);
      const { hostname } = new URL(`https://${host}`);
      const sni = hostname === '127.0.0.1' ? false : hostname.replace(/\.$/, '');
      expect(names).toEqual([[sni, `${hostname}:${port}`]]);
    },
  );

  test.each([
    ['other.test', 'wrong_host'],
    ['sub.localhost', 'wrong_host'],
  ])('a certificate that is not for %s is refused as it is without one', async (host, cause) => {
    const { names, port } = await secureReceiver();
    const proxy = await proxyThat();
    const sender = loopbackSender({ proxy: via(proxy), certificateAuthorities: [root], resolve: to('127.0.0.1') });
    expect(await sender.send(post(`https://${host}:${port}/`))).toMatchObject({
      code: 'tls_certificate_invalid',
      details: { cause },
      remoteAddress: '127.0.0.1',
    });
    expect(names).toEqual([]);
  });

  test.each(['10.0.0.1', '169.254.169.254', '[fd00:ec2::254]', 'inside.test'])(
    '%s is blocked before the proxy is asked',
    async (host) => {
      const proxy = await proxyThat();
      const sender = loopbackSender({ proxy: via(proxy), resolve: to('127.0.0.1', '10.1.2.3') });
      for (const scheme of ['http', 'https']) {
        expect(await sender.send(post(`${scheme}://${host}/`))).toMatchObject({ code: 'blocked_address' });
      }
      expect(proxy.asked).toEqual([]);
    },
  );

  test.each([
    ['user:pass@', 'user:pass'],
    ['us%40er:p%3Aa%2Fss@', 'us@er:p:a/ss'],
    ['ü:ß@', 'ü:ß'],
    ['token@', 'token:'],
  ])('credentials %s go to the proxy only', async (credentials, text) => {
    const receiver = closeLater(await startReceiver());
    const proxy = await proxyThat();
    await loopbackSender({ proxy: via(proxy, credentials) }).send(post(receiver.url));
    expect(proxy.asked[0]!.authorization).toBe(`Basic ${Buffer.from(text).toString('base64')}`);
    expect(JSON.stringify(receiver.requests[0]!.headers)).not.toContain(Buffer.from(text).toString('base64'));
  });

  test('the next address of a name is asked for if the proxy does not connect to the first', async () => {
    const receiver = closeLater(await startReceiver());
    const { port } = new URL(receiver.url);
    const proxy = await proxyThat((request) => (request.url?.startsWith('127.0.0.2') ? 502 : undefined));
    const sender = loopbackSender({ proxy: via(proxy), resolve: to('127.0.0.2', '::1', '127.0.0.1') });
    expect(responseOf(await sender.send(post(`http://several.test:${port}/`))).remoteAddress).toBe('127.0.0.1');
    expect(proxy.asked.map(({ authority }) => authority)).toEqual([
      `127.0.0.2:${port}`,
      `[::1]:${port}`,
      `127.0.0.1:${port}`,
    ]);
  });

  test('a proxy that is spoken to over TLS', async () => {
    const receiver = closeLater(await startReceiver());
    const { port } = new URL(receiver.url);
    const inner = await proxyThat();
    // TLS in front of a proxy: what comes out of it goes there as it is.
    const front = createTlsServer({ key: certificate.key, cert: pem('many-names') }, (socket) => {
      const behind = connect(inner.port, '127.0.0.1');
      socket.pipe(behind).pipe(socket);
      for (const one of [socket, behind]) one.on('error', () => {});
      socket.on('close', () => behind.destroy());
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const proxy = parseEgressProxy(`https://localhost:${(front.address() as AddressInfo).port}`)!;
    const sender = loopbackSender({ proxy, certificateAuthorities: [root], resolve: to('127.0.0.1') });
    expect(responseOf(await sender.send(post(`http://plain.test:${port}/`))).statusCode).toBe(204);
    const secure = await secureReceiver();
    expect(responseOf(await sender.send(post(`https://plain.test:${secure.port}/`))).statusCode).toBe(200);
    await sender.close();
    await new Promise((resolve) => front.close(resolve));
  });
});

describe('what goes wrong', () => {
  test.each([403, 404, 500, 502, 503, 504])(
    'a proxy that answers %d: an error of the endpoint’s, with the status',
    async (status) => {
      const proxy = await proxyThat(() => status);
      const sender = loopbackSender({ proxy: via(proxy) });
      for (const scheme of ['http', 'https']) {
        expect(await sender.send(post(`${scheme}://127.0.0.1:9/`))).toMatchObject({
          kind: 'error',
          stage: 'connect',
          code: 'proxy_refused',
          details: { library_code: `PROXY_${status}` },
        });
      }
    },
  );

  test('a proxy that breaks the connection off once it is asked', async () => {
    const proxy = await proxyThat(() => 'reset');
    const result = await loopbackSender({ proxy: via(proxy) }).send(post('http://127.0.0.1:9/'));
    expect(result).toMatchObject({ code: 'proxy_refused', details: { library_code: 'ECONNRESET' } });
  });

  test('a proxy that takes too long to connect', async () => {
    const proxy = await proxyThat(() => 'hang');
    const sender = loopbackSender({ proxy: via(proxy), connectTimeoutMs: 300 });
    expect(await sender.send(post('https://127.0.0.1:9/'))).toMatchObject({ code: 'connect_timeout' });
    expect(await sender.send(post('http://127.0.0.1:9/', { timeoutMs: 100 }))).toMatchObject({
      code: 'connect_timeout',
    });
  });

  test('an endpoint that does not end its handshake', async () => {
    const server = await rawServer(() => {}, 'eager');
    const proxy = await proxyThat();
    const sender = loopbackSender({ proxy: via(proxy), connectTimeoutMs: 300 });
    expect(await sender.send(post(`https://127.0.0.1:${server.port}/`))).toMatchObject({
      code: 'tls_timeout',
      remoteAddress: '127.0.0.1',
    });
  });

  const ours = { name: 'OwnTroubleError', reason: 'proxy_unavailable' };

  test('a proxy that is not there is our own trouble, and no attempt', async () => {
    const sender = loopbackSender({ proxy: viaPort(await closedPort(), 'user:hunter2@') });
    for (const scheme of ['http', 'https']) {
      const error = await sender.send(post(`${scheme}://127.0.0.1:9/`)).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ ...ours, libraryCode: 'ECONNREFUSED' });
      expect(`${(error as OwnTroubleError).stack} ${JSON.stringify(error)}`).not.toMatch(/hunter2|dXNlcjpodW50ZXIy/);
    }
  });

  test.each([
    ['the limit of connecting', { connectTimeoutMs: 300, timeoutMs: 20_000 }],
    ['the limit of the attempt', { connectTimeoutMs: 20_000, timeoutMs: 300 }],
  ])('a proxy that does not answer is our own trouble, whichever comes first: %s', async (_, limits) => {
    const { connectTimeoutMs, timeoutMs } = limits;
    const sender = loopbackSender({ proxy: viaPort(await deafPort()), connectTimeoutMs });
    await expect(sender.send(post('http://127.0.0.1:9/', { timeoutMs }))).rejects.toMatchObject(ours);
  });

  test('a proxy that does not take our credentials is our own trouble', async () => {
    const proxy = await proxyThat(() => 407);
    const sender = loopbackSender({ proxy: via(proxy, 'user:wrong@') });
    await expect(sender.send(post('http://127.0.0.1:9/'))).rejects.toMatchObject({ ...ours, libraryCode: 'PROXY_407' });
  });
});

describe('the setting', () => {
  test.each([
    ['http://proxy.example:3128', { secure: false, hostname: 'proxy.example', port: 3128, authorization: undefined }],
    ['http://proxy.example', { secure: false, hostname: 'proxy.example', port: 80, authorization: undefined }],
    ['https://proxy.example/', { secure: true, hostname: 'proxy.example', port: 443, authorization: undefined }],
    ['http://[::1]:3128', { secure: false, hostname: '::1', port: 3128, authorization: undefined }],
    ['http://a:b@10.0.0.1:1', { secure: false, hostname: '10.0.0.1', port: 1, authorization: 'Basic YTpi' }],
  ])('%s', (text, proxy) => expect(parseEgressProxy(text)).toEqual(proxy));

  test.each([
    'proxy.example:3128',
    'socks5://proxy.example',
    'http://',
    'http://a/b',
    'http://a/?b',
    'http://a:%zz@b',
    '',
  ])('%j is none', (text) => expect(parseEgressProxy(text)).toBeUndefined());
});
