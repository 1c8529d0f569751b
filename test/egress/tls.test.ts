import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { startReceiver } from '../support/receiver';
import {
  certificate,
  closeAll,
  closeLater,
  drip,
  errorOf,
  expiredCertificate,
  loopbackSender,
  post,
  rawServer,
  responseOf,
  to,
} from './support';

afterEach(closeAll);

const certificateAuthorities = [certificate.cert, expiredCertificate.cert];

async function secureReceiver(options: ServerOptions = certificate) {
  const seen = { serverNames: [] as unknown[], hosts: [] as unknown[] };
  const server = createServer(options, (request, response) => {
    seen.serverNames.push((request.socket as TLSSocket & { servername?: unknown }).servername);
    seen.hosts.push(request.headers.host);
    response.writeHead(200).end('secure');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closeLater({
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  });
  return { port: (server.address() as AddressInfo).port, ...seen };
}

test('a trusted certificate for the name in the URL; SNI and Host stay that name', async () => {
  const { port, serverNames, hosts } = await secureReceiver();
  const sender = loopbackSender({ certificateAuthorities, allowHttp: false, resolve: to('127.0.0.1') });
  const result = responseOf(await sender.send(post(`https://localhost:${port}/`)));
  expect(result.body.toString()).toBe('secure');
  expect(result.remoteAddress).toBe('127.0.0.1');
  expect(serverNames).toEqual(['localhost']);
  expect(hosts).toEqual([`localhost:${port}`]);
});

describe('a certificate that is not valid: nothing is sent', () => {
  const invalid = { stage: 'tls', code: 'tls_certificate_invalid' };

  test('signed by nobody', async () => {
    const { port, hosts } = await secureReceiver();
    const sender = loopbackSender({ resolve: to('127.0.0.1') });
    expect(errorOf(await sender.send(post(`https://localhost:${port}/`)))).toEqual(invalid);
    expect(hosts).toEqual([]);
  });

  test.each(['127.0.0.1', 'other.test', 'sub.localhost'])('for another host: %s', async (host) => {
    const { port, hosts } = await secureReceiver();
    const sender = loopbackSender({ certificateAuthorities, resolve: to('127.0.0.1') });
    expect(errorOf(await sender.send(post(`https://${host}:${port}/`)))).toEqual(invalid);
    expect(hosts).toEqual([]);
  });

  test('expired', async () => {
    const { port, hosts } = await secureReceiver(expiredCertificate);
    const sender = loopbackSender({ certificateAuthorities, resolve: to('127.0.0.1') });
    expect(errorOf(await sender.send(post(`https://localhost:${port}/`)))).toEqual(invalid);
    expect(hosts).toEqual([]);
  });
});

describe('a handshake that comes to nothing', () => {
  test.each<[string, ServerOptions]>([
    ['TLS 1.1 at most', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['HTTP/2 only', { ALPNProtocols: ['h2'] }],
    ['a client certificate is asked for', { requestCert: true, rejectUnauthorized: true, maxVersion: 'TLSv1.2' }],
  ])('%s', async (_, options) => {
    const { port, hosts } = await secureReceiver({ ...certificate, ...options });
    const sender = loopbackSender({ certificateAuthorities, resolve: to('127.0.0.1') });
    expect(errorOf(await sender.send(post(`https://localhost:${port}/`)))).toEqual({
      stage: 'tls',
      code: 'tls_failed',
    });
    expect(hosts).toEqual([]);
  });

  test('plain HTTP on the other side', async () => {
    const plain = closeLater(await startReceiver());
    const result = await loopbackSender().send(post(plain.url.replace('http:', 'https:')));
    expect(errorOf(result)).toEqual({ stage: 'tls', code: 'tls_failed' });
    expect(plain.requests).toHaveLength(0);
  });

  test.each<[string, string, (socket: Socket) => void]>([
    ['reset', 'tls_failed', (socket) => socket.once('data', () => socket.resetAndDestroy())],
    ['half-closed', 'tls_failed', (socket) => socket.once('data', () => socket.end())],
    ['another protocol', 'tls_failed', (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n')],
    ['no answer to the ClientHello', 'tls_timeout', () => {}],
    [
      'a record by the byte',
      'tls_timeout',
      (socket) => {
        socket.write(Buffer.from([22, 3, 3, 0x40, 0])); // handshake, TLS 1.2, 16 KiB to come (RFC 8446 5.1)
        drip(socket, '\x02', 1);
      },
    ],
  ])('%s → %s', async (_, code, serve) => {
    const server = await rawServer(serve, 'eager');
    const result = await loopbackSender().send(post(`https://127.0.0.1:${server.port}/`, { timeoutMs: 700 }));
    expect(errorOf(result)).toEqual({ stage: 'tls', code });
  });
});

test('TLS 1.3 asks for a client certificate after the handshake: the connection is closed on the request', async () => {
  const options: ServerOptions = { ...certificate, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' };
  const { port, hosts } = await secureReceiver(options);
  const sender = loopbackSender({ certificateAuthorities, resolve: to('127.0.0.1') });
  expect(errorOf(await sender.send(post(`https://localhost:${port}/`))).code).toBe('connection_reset');
  expect(hosts).toEqual([]);
});
