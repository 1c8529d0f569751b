import { readFileSync } from 'node:fs';
import { createServer, type ServerOptions } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import type { SendResult } from '../../src/egress/types';
import { startReceiver } from '../support/receiver';
import {
  certificate,
  closeAll,
  closeLater,
  expiredCertificate,
  loopbackSender,
  post,
  type Resolve,
  rawServer,
  to,
} from './support';

afterEach(closeAll);

const pem = (name: string) => readFileSync(join(__dirname, '../support/fixtures/tls', `${name}.pem`), 'utf8');
const [root, intermediate, leaf] = [pem('ca-root'), pem('ca-intermediate'), pem('leaf')];
const { key } = certificate;
const ROOT = 'CN=Test root, O=Posthorn tests';
const INTERMEDIATE = 'CN=Test intermediate, O=Posthorn tests';
const LEAF = 'CN=localhost, O=Posthorn tests';

async function portOf(options: ServerOptions): Promise<number> {
  const server = createServer({ key, ...options }, (_, response) => response.end('secure'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closeLater({
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  });
  return (server.address() as AddressInfo).port;
}

function failure(result: SendResult): Extract<SendResult, { kind: 'error' }> {
  if (result.kind !== 'error') throw new Error(`an error was expected, not status ${result.statusCode}`);
  return result;
}

async function failureAt(options: ServerOptions, host = 'localhost', authorities: string[] = [root]) {
  const port = await portOf(options);
  const sender = loopbackSender({ certificateAuthorities: authorities, resolve: to('127.0.0.1') });
  return failure(await sender.send(post(`https://${host}:${port}/`)));
}

test('a host that sends its whole chain is trusted by its root', async () => {
  const port = await portOf({ cert: leaf + intermediate });
  const sender = loopbackSender({ certificateAuthorities: [root], resolve: to('127.0.0.1') });
  expect((await sender.send(post(`https://localhost:${port}/`))).kind).toBe('response');
});

describe('a certificate that is not taken: its cause, its names, and the address that served it', () => {
  const self = [certificate.cert, expiredCertificate.cert];
  const unnamed = { subject: 'CN=localhost', issuer: 'CN=localhost' };

  test.each<[cause: string, string, ServerOptions, authorities: string[], Record<string, unknown>]>([
    [
      'expired',
      'by itself',
      { cert: expiredCertificate.cert },
      self,
      { ...unnamed, valid_to: '2020-01-02T00:00:00.000Z' },
    ],
    [
      'expired',
      'in its intermediate',
      { cert: pem('leaf-of-expired') + pem('ca-expired-intermediate') },
      [root],
      { subject: 'CN=Expired intermediate, O=Posthorn tests', issuer: ROOT, valid_to: '2020-01-02T00:00:00.000Z' },
    ],
    [
      'not_yet_valid',
      'for decades',
      { cert: pem('not-yet-valid') },
      [root],
      { subject: LEAF, issuer: ROOT, valid_from: '2100-01-01T00:00:00.000Z' },
    ],
    ['self_signed', 'by its host', { cert: certificate.cert }, [root], unnamed],
    ['missing_intermediate', 'of a good root', { cert: leaf }, [root], { subject: LEAF, issuer: INTERMEDIATE }],
    [
      'unknown_ca',
      'without its root',
      { cert: leaf + intermediate },
      self,
      { subject: LEAF, issuer: INTERMEDIATE, authority: ROOT },
    ],
    [
      'unknown_ca',
      'with its root',
      { cert: leaf + intermediate + root },
      self,
      { subject: LEAF, issuer: INTERMEDIATE, authority: ROOT },
    ],
  ])('%s, %s', async (cause, _, options, authorities, facts) => {
    const { code, message, details, remoteAddress } = await failureAt(options, 'localhost', authorities);
    expect(code).toBe('tls_certificate_invalid');
    expect(details).toMatchObject({ cause, certificate: facts });
    expect(details?.library_code).toMatch(/^[A-Z_]+$/);
    expect(details?.reason).toMatch(/certificate/);
    expect(message).toContain(`subject ${facts.subject}; issuer ${facts.issuer}`);
    expect(remoteAddress).toBe('127.0.0.1');
  });

  test.each(['127.0.0.1', 'other.test', 'sub.localhost'])('wrong_host, asked for %s', async (host) => {
    const { message, details, remoteAddress } = await failureAt({ cert: leaf + intermediate }, host);
    expect(details).toMatchObject({
      cause: 'wrong_host',
      library_code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      certificate: { subject: LEAF, issuer: INTERMEDIATE, names: ['DNS:localhost'] },
    });
    expect(message).toContain('names DNS:localhost');
    expect(remoteAddress).toBe('127.0.0.1');
  });
});

describe('a handshake that fails: its cause, and the address', () => {
  const cert = leaf + intermediate;

  test.each<[cause: string, string, ServerOptions]>([
    [
      'protocol_version',
      'TLS 1.1 at most',
      { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' },
    ],
    ['no_common_cipher', 'Camellia only', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-CAMELLIA128-SHA256' }],
    ['no_common_cipher', 'no encryption', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0' }],
    ['no_http1', 'HTTP/2 only', { ALPNProtocols: ['h2'] }],
    ['closed', 'a name that the host does not know', { SNICallback: (_, answer) => answer(new Error('unknown')) }],
  ])('%s: %s', async (cause, _, options) => {
    const { code, message, details, remoteAddress } = await failureAt({ cert, ...options });
    expect(code).toBe('tls_failed');
    expect(details).toMatchObject({ cause, library_code: expect.stringMatching(/^[A-Z0-9_]+$/) });
    expect(message).not.toBe('No secure connection could be agreed on');
    expect(remoteAddress).toBe('127.0.0.1');
  });

  test('not_tls: the port is one of plain HTTP', async () => {
    const plain = closeLater(await startReceiver());
    const { details, remoteAddress } = failure(await loopbackSender().send(post(plain.url.replace('http:', 'https:'))));
    expect(details).toMatchObject({ cause: 'not_tls', reason: 'wrong version number' });
    expect(remoteAddress).toBe('127.0.0.1');
  });

  test.each([
    ['closed', (socket: { resetAndDestroy(): void }) => socket.resetAndDestroy()],
    ['closed', (socket: { end(): void }) => socket.end()],
    // Alert (21), TLS 1.2, 2 bytes: fatal (2), its description (RFC 8446 6).
    ['unrecognized_name', (socket: { end(data: Buffer): void }) => socket.end(alert(112))],
    ['client_certificate', (socket: { end(data: Buffer): void }) => socket.end(alert(116))],
    ['client_certificate', (socket: { end(data: Buffer): void }) => socket.end(alert(48))],
    ['no_common_cipher', (socket: { end(data: Buffer): void }) => socket.end(alert(71))],
  ] as const)('%s, by what a server sends', async (cause, answer) => {
    const server = await rawServer((socket) => socket.once('data', () => answer(socket as never)), 'eager');
    const { details } = failure(await loopbackSender().send(post(`https://127.0.0.1:${server.port}/`)));
    expect(details?.cause).toBe(cause);
  });

  test('a handshake that takes too long names the address that it was begun with', async () => {
    const server = await rawServer(() => {}, 'eager');
    const { code, remoteAddress } = failure(
      await loopbackSender().send(post(`https://127.0.0.1:${server.port}/`, { timeoutMs: 300 })),
    );
    expect([code, remoteAddress]).toEqual(['tls_timeout', '127.0.0.1']);
  });

  const alert = (description: number) => Buffer.from([21, 3, 3, 0, 2, 2, description]);
});

describe('what a library says is kept', () => {
  test('each address that was tried, with what was said of it', async () => {
    const server = createTcpServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const sender = loopbackSender({ resolve: to('127.0.0.1', '127.0.0.2') });
    const { code, details } = failure(await sender.send(post(`http://two.test:${port}/`)));
    expect(code).toBe('connection_refused');
    expect(details?.tried).toEqual([
      { address: '127.0.0.1', library_code: 'ECONNREFUSED' },
      { address: '127.0.0.2', library_code: 'ECONNREFUSED' },
    ]);
  });

  test.each(['ESERVFAIL', 'EREFUSED', 'EFORMERR', 'ENODATA', 'ENOTFOUND'])(
    '%s of a name server',
    async (libraryCode) => {
      const resolve: Resolve = async () => {
        throw Object.assign(new Error(`queryA ${libraryCode} 10.1.2.3`), { code: libraryCode });
      };
      const { details } = failure(await loopbackSender({ resolve }).send(post('http://name.test/')));
      expect(details).toEqual({ library_code: libraryCode });
    },
  );

  test.each<[string, RegExp]>([
    ['SSH-2.0-OpenSSH_9.6\r\n', /status line/],
    ['HTTP/1.1 2xx Fine\r\n\r\n', /status code/i],
    ['HTTP/1.1 200 OK\r\ngarbled line\r\n\r\n', /header/i],
  ])('the rule that %j breaks, and not what the host wrote', async (answer, rule) => {
    const server = await rawServer((socket) => socket.end(answer));
    const { code, details } = failure(await loopbackSender().send(post(server.url)));
    expect(code).toBe('invalid_response');
    expect(details?.reason).toMatch(rule);
    expect(JSON.stringify(details)).not.toMatch(/OpenSSH|Fine|garbled/);
  });

  test('of a blocked address nothing is said', async () => {
    const sender = loopbackSender({ resolve: to('10.0.0.1') });
    const result = failure(await sender.send(post('http://name.test/')));
    expect(result).toMatchObject({ code: 'blocked_address', remoteAddress: null });
    expect(result).not.toHaveProperty('details');
  });
});
