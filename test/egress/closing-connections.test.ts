import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { NotSentError } from '../../src/egress/exchange';
import { startSlowProxy } from '../support/slow-proxy';
import { certificate, closeAll, closeLater, errorOf, loopbackSender, post, rawServer, responseOf, to } from './support';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Answers the first request of each connection, and does `then` at the next one. */
function answeringOnce(then: (socket: Socket) => void) {
  const served = new WeakSet<Socket>();
  const seen = { requests: 0 };
  return {
    seen,
    serve(socket: Socket) {
      seen.requests++;
      if (served.has(socket)) then(socket);
      else {
        served.add(socket);
        socket.write(OK);
      }
    },
  };
}

/** With one connection, so that a request waits for the one that is in use. */
function countingSender(settings: Parameters<typeof loopbackSender>[0] = {}) {
  const seen = { resent: 0 };
  const sender = loopbackSender({
    maxConnectionsPerOrigin: 1,
    onResend: () => {
      seen.resent++;
    },
    ...settings,
  });
  return { sender, seen };
}

/** undici has a connection back some turns of the event loop after the answer. */
const untilFree = () => new Promise((resolve) => setTimeout(resolve, 20));

const CLOSINGS: [string, (socket: Socket) => void][] = [
  ['half-closed', (socket) => socket.end()],
  ['closed', (socket) => socket.destroy()],
  ['reset', (socket) => socket.resetAndDestroy()],
  ['sent an empty line and closed', (socket) => socket.end('\r\n')],
];

describe('a kept connection that the receiver was closing: the request is sent again on a fresh one', () => {
  test.each(CLOSINGS)('%s before anything of an answer came', async (_, close) => {
    const { serve, seen } = answeringOnce(close);
    const server = await rawServer(serve);
    const { sender, seen: counted } = countingSender();
    for (let n = 0; n < 3; n++) expect(responseOf(await sender.send(post(server.url))).body.toString()).toBe('ok');
    // The second met the first connection, the third the second one.
    expect(seen.requests).toBe(5);
    expect(counted.resent).toBe(2);
    expect(server.connections()).toBe(3);
  });

  test.each(CLOSINGS.slice(0, 3))('%s over TLS', async (how, close) => {
    const tcp = new Map<number | undefined, Socket>();
    const { serve, seen } = answeringOnce((socket) => close(how === 'reset' ? tcp.get(socket.remotePort)! : socket));
    const server = createTlsServer(certificate, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => data.includes('{"a":1}') && serve(socket));
    });
    server.on('connection', (socket) => tcp.set(socket.remotePort, socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closeLater({ close: () => new Promise((resolve) => server.close(resolve)) });
    const { sender } = countingSender({ certificateAuthorities: [certificate.cert], resolve: to('127.0.0.1') });
    const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
    for (let n = 0; n < 2; n++) expect(responseOf(await sender.send(post(url))).statusCode).toBe(200);
    expect(seen.requests).toBe(3);
    await sender.close();
  });

  test.each(CLOSINGS.slice(0, 3))('%s while the request was about to be written', async (_, close) => {
    const sockets: Socket[] = [];
    const server = await rawServer((socket) => {
      sockets.push(socket);
      socket.write(OK);
    });
    const { sender } = countingSender();
    expect(responseOf(await sender.send(post(server.url))).statusCode).toBe(200);
    await untilFree();
    close(sockets[0]!);
    expect(responseOf(await sender.send(post(server.url))).statusCode).toBe(200);
    expect(server.connections()).toBe(2);
  });

  test('not on another one that was used before', async () => {
    const { serve, seen } = answeringOnce((socket) => socket.destroy());
    const server = await rawServer(serve);
    const { sender, seen: counted } = countingSender({ maxConnectionsPerOrigin: 6 });
    await Promise.all(Array.from({ length: 6 }, () => sender.send(post(server.url))));
    await untilFree();
    expect(responseOf(await sender.send(post(server.url))).statusCode).toBe(200);
    expect(seen.requests).toBe(8);
    expect(counted.resent).toBe(1);
  });

  test('with the same bytes, whatever the method', async () => {
    const heads: string[] = [];
    const { serve } = answeringOnce((socket) => socket.destroy());
    const server = await rawServer((socket) => {
      socket.on('data', (data) => {
        heads.push(data.toString());
        serve(socket);
      });
    }, 'eager');
    const { sender } = countingSender();
    for (const method of ['POST', 'GET', 'OPTIONS'] as const) {
      const { body, ...rest } = post(server.url, { method });
      const request = method === 'POST' ? { ...rest, body } : rest;
      expect(responseOf(await sender.send(request as ReturnType<typeof post>)).statusCode).toBe(200);
    }
    expect(heads).toHaveLength(5);
    expect(heads[1]).toBe(heads[2]);
    expect(heads[3]).toBe(heads[4]);
  });

  test('once only', async () => {
    let requests = 0;
    const server = await rawServer((socket) => (++requests === 1 ? socket.write(OK) : socket.destroy()));
    const { sender } = countingSender();
    await sender.send(post(server.url));
    expect(errorOf(await sender.send(post(server.url)))).toEqual({ stage: 'response', code: 'connection_reset' });
    expect(requests).toBe(3);
  });

  test('inside the time of the attempt', async () => {
    let requests = 0;
    const server = await rawServer((socket) => {
      requests++;
      if (requests === 1) socket.write(OK);
      else if (requests === 2) socket.destroy();
    });
    const { sender } = countingSender();
    await sender.send(post(server.url));
    const result = await sender.send(post(server.url, { timeoutMs: 500 }));
    expect(errorOf(result).code).toBe('headers_timeout');
    expect(requests).toBe(3);
  });

  test('not if it may not go any more', async () => {
    const { serve, seen } = answeringOnce((socket) => socket.destroy());
    const server = await rawServer(serve);
    const { sender } = countingSender();
    await sender.send(post(server.url));
    let asked = 0;
    await expect(sender.send(post(server.url, { mayGo: () => ++asked === 1 }))).rejects.toBeInstanceOf(NotSentError);
    expect(asked).toBe(2);
    expect(seen.requests).toBe(2);
  });
});

describe('the endpoint’s fault: the request is not sent again', () => {
  test.each(CLOSINGS)('%s on a connection that served nothing before', async (_, close) => {
    let requests = 0;
    const server = await rawServer((socket) => {
      requests++;
      close(socket);
    });
    const { sender } = countingSender();
    expect(errorOf(await sender.send(post(server.url)))).toEqual({ stage: 'response', code: 'connection_reset' });
    expect(requests).toBe(1);
  });

  test.each([
    ['one byte', 'H'],
    ['half a status line', 'HTTP/1.1 2'],
    ['an interim answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ])('%s had come', async (_, begun) => {
    const { serve, seen } = answeringOnce((socket) => socket.end(begun));
    const server = await rawServer(serve);
    const { sender } = countingSender();
    await sender.send(post(server.url));
    expect(errorOf(await sender.send(post(server.url))).code).toBe('connection_reset');
    expect(seen.requests).toBe(2);
  });

  test('closed long after the request was written', async () => {
    const { serve, seen } = answeringOnce((socket) => setTimeout(() => socket.destroy(), 5_500));
    const server = await rawServer(serve);
    const { sender } = countingSender();
    await sender.send(post(server.url));
    expect(errorOf(await sender.send(post(server.url))).code).toBe('connection_reset');
    expect(seen.requests).toBe(2);
  }, 30_000);
});

test.each([
  ['and says so', 300, {}],
  ['and says more', 0, { connection: 'keep-alive', 'keep-alive': 'timeout=5' }],
  ['and does not say so', 0, { connection: 'keep-alive' }],
])(
  'a Node server behind a slow network that closes idle connections, %s, fails no request',
  async (_, announced, headers) => {
    const server = createHttpServer((request, response) => {
      request.resume().on('end', () => response.writeHead(200, headers).end('ok'));
    });
    // Idle ones; Node's own limit for them has a second or none added to it, by its version.
    server.setTimeout(300);
    server.keepAliveTimeout = announced;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closeLater({ close: () => new Promise((resolve) => server.close(resolve)) });
    const proxy = closeLater(await startSlowProxy((server.address() as AddressInfo).port));
    proxy.setDelay(50);
    const { sender } = countingSender({ maxConnectionsPerOrigin: 8 });
    // The server closes some 50 ms before its network tells: a request that is written then meets a closed connection.
    for (const pauseMs of [200, 230, 250, 270, 300]) {
      const sent = Array.from({ length: 8 }, () => sender.send(post(`http://127.0.0.1:${proxy.port}/`)));
      for (const result of await Promise.all(sent)) expect(responseOf(result).statusCode).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    await sender.close();
  },
);
