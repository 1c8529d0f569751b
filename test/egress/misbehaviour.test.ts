import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { MAX_BODY_BYTES } from '../../src/egress/exchange';
import type { BodyCut } from '../../src/egress/types';
import { closeAll, drip, errorOf, loopbackSender, post, rawServer, responseOf } from './support';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

describe('without a whole status line and headers there is no answer', () => {
  test.each<[string, string, string, (socket: Socket) => void]>([
    ['reset at once', 'response', 'connection_reset', (socket) => socket.resetAndDestroy()],
    ['half-closed at once', 'response', 'connection_reset', (socket) => socket.end()],
    [
      'reset in the headers',
      'response',
      'connection_reset',
      (socket) => socket.write(OK, () => socket.resetAndDestroy()),
    ],
    ['closed in the headers', 'response', 'connection_reset', (socket) => socket.end(`${OK}content-le`)],
    ['not HTTP', 'response', 'invalid_response', (socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    ['a newline in a header', 'response', 'invalid_response', (socket) => socket.end(`${OK}a: b\0c\r\n\r\n`)],
    ['no status code', 'response', 'invalid_response', (socket) => socket.end('HTTP/1.1 OK\r\n\r\n')],
    [
      'status 099',
      'response',
      'invalid_response',
      (socket) => socket.end('HTTP/1.1 099 Hm\r\ncontent-length: 0\r\n\r\n'),
    ],
    ...['-3', '0x3', '3, 4', ''].map((length): [string, string, string, (socket: Socket) => void] => [
      `length "${length}"`,
      'response',
      'invalid_response',
      (socket) => socket.write(`${OK}content-length: ${length}\r\n\r\nabc`),
    ]),
    ['1xx, then closed', 'response', 'connection_reset', (socket) => socket.end('HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['100, then closed', 'response', 'connection_reset', (socket) => socket.end('HTTP/1.1 100 Continue\r\n\r\n')],
    [
      'an upgrade',
      'response',
      'invalid_response',
      (socket) => socket.end('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
    [
      'a header of 20 kB',
      'response',
      'headers_too_large',
      (socket) => socket.write(`${OK}a: ${'b'.repeat(20_000)}\r\n\r\n`),
    ],
    [
      'headers by the byte',
      'timeout',
      'headers_timeout',
      (socket) => drip(socket, 'HTTP/1.1 200 OK\r\nx-slow: yes\r\n', 1),
    ],
  ])('%s → %s, %s', async (_, stage, code, serve) => {
    const server = await rawServer(serve);
    // A short one only where it is what ends the attempt.
    const timeoutMs = stage === 'timeout' ? 700 : 5_000;
    expect(errorOf(await loopbackSender().send(post(server.url, { timeoutMs })))).toEqual({ stage, code });
  });

  test('a connection closed before it is used', async () => {
    const server = await rawServer((socket) => socket.resetAndDestroy(), 'eager');
    const { code } = errorOf(await loopbackSender().send(post(server.url, { timeoutMs: 2_000 })));
    expect(['connection_reset', 'connect_failed']).toContain(code);
  });

  test('a connection half-closed before it is used', async () => {
    const server = await rawServer((socket) => socket.end(), 'eager');
    const { code } = errorOf(await loopbackSender().send(post(server.url, { timeoutMs: 2_000 })));
    expect(['connection_reset', 'connect_failed']).toContain(code);
  });
});

describe('in the middle of a request that is larger than the socket’s buffers', () => {
  const body = Buffer.alloc(32 * 1024 * 1024, 'a');

  test('a reset', async () => {
    const server = await rawServer((socket) => socket.once('data', () => socket.resetAndDestroy()), 'eager');
    const result = await loopbackSender().send(post(server.url, { body }));
    expect(errorOf(result)).toEqual({ stage: 'response', code: 'connection_reset' });
  });

  test('no more reading', async () => {
    const server = await rawServer((socket) => socket.pause(), 'eager');
    const result = await loopbackSender().send(post(server.url, { body, timeoutMs: 700 }));
    expect(errorOf(result)).toEqual({ stage: 'timeout', code: 'headers_timeout' });
  });

  test('an answer, which counts', async () => {
    const server = await rawServer((socket) => {
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno');
      });
    }, 'eager');
    const result = responseOf(await loopbackSender().send(post(server.url, { body })));
    expect(result).toMatchObject({ statusCode: 413, bodyCut: null });
  });
});

describe('once status and headers are in, the status counts and the body is cut', () => {
  test.each<[string, string, BodyCut | null, (socket: Socket) => void]>([
    ['no body after the headers', '', 'total_timeout', (socket) => socket.write(`${OK}content-length: 10\r\n\r\n`)],
    [
      'a body by the byte',
      'a',
      'total_timeout',
      (socket) => {
        socket.write(`${OK}content-length: 100000\r\n\r\n`);
        drip(socket, 'a', 1);
      },
    ],
    [
      'reset in the body',
      'abc',
      'body_broken_off',
      (socket) => {
        socket.write(`${OK}content-length: 10\r\n\r\nabc`, () => setTimeout(() => socket.resetAndDestroy(), 50));
      },
    ],
    [
      'closed before the length is reached',
      'abc',
      'body_broken_off',
      (socket) => socket.end(`${OK}content-length: 10\r\n\r\nabc`),
    ],
    [
      'closed without the last chunk',
      'abc',
      'body_broken_off',
      (socket) => socket.end(`${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`),
    ],
    [
      'a broken chunk',
      'abc',
      'body_broken_off',
      (socket) => socket.write(`${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n`),
    ],
    ['more than the length said', 'abc', null, (socket) => socket.write(`${OK}content-length: 3\r\n\r\nabcdef`)],
    ['no length, closed', 'abc', null, (socket) => socket.end(`${OK}\r\nabc`)],
    ['HTTP/1.0', 'abc', null, (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nabc')],
    [
      'HTTP/1.0 that keeps the connection',
      'abc',
      null,
      (socket) => socket.write('HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc'),
    ],
    [
      'HTTP/1.0, closed before the length is reached',
      'abc',
      'body_broken_off',
      (socket) => socket.end('HTTP/1.0 200 OK\r\ncontent-length: 10\r\n\r\nabc'),
    ],
    [
      'a length past 2^53',
      'abc',
      'body_broken_off',
      (socket) => socket.end(`${OK}content-length: 9007199254740993\r\n\r\nabc`),
    ],
    [
      'a length of 30 digits',
      'abc',
      'body_broken_off',
      (socket) => socket.end(`${OK}content-length: ${'9'.repeat(30)}\r\n\r\nabc`),
    ],
    [
      '1xx first',
      'abc',
      null,
      (socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n${OK}content-length: 3\r\n\r\nabc`),
    ],
    [
      'many 1xx first',
      'abc',
      null,
      (socket) => {
        socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(32));
        socket.write(`${OK}content-length: 3\r\n\r\nabc`);
      },
    ],
  ])('%s', async (_, body, bodyCut, serve) => {
    const server = await rawServer(serve);
    const result = responseOf(await loopbackSender().send(post(server.url, { timeoutMs: 700 })));
    expect(result).toMatchObject({ statusCode: 200, bodyCut });
    expect(result.body.subarray(0, 3).toString()).toMatch(new RegExp(`^${body}`));
    expect(result.durationMs).toBeLessThan(5_000);
  });

  test('a stalled body is not waited for as long as the answer was', async () => {
    const server = await rawServer((socket) => socket.write(`${OK}content-length: 10\r\n\r\n`));
    const result = responseOf(await loopbackSender().send(post(server.url, { timeoutMs: 60_000 })));
    expect(result).toMatchObject({ statusCode: 200, bodyCut: 'body_timeout' });
    expect(result.durationMs).toBeLessThan(20_000);
  }, 30_000);
});

describe('a body is kept up to 16 KiB', () => {
  test.each([
    [MAX_BODY_BYTES - 1, null],
    [MAX_BODY_BYTES, null],
    [MAX_BODY_BYTES + 1, 'body_too_large'],
  ])('%i bytes, cut: %s', async (size, bodyCut) => {
    const server = await rawServer((socket) => socket.write(`${OK}content-length: ${size}\r\n\r\n${'a'.repeat(size)}`));
    const result = responseOf(await loopbackSender().send(post(server.url)));
    expect(result.bodyCut).toBe(bodyCut);
    expect(result.body).toHaveLength(Math.min(size, MAX_BODY_BYTES));
  });

  test('a gzip bomb stays packed', async () => {
    const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024));
    const server = await rawServer((socket) => {
      socket.write(`${OK}content-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`);
      socket.write(bomb);
    });
    const result = responseOf(await loopbackSender().send(post(server.url)));
    expect(result.body.equals(bomb.subarray(0, MAX_BODY_BYTES))).toBe(true);
  });
});

test('after a bad answer the next request gets a good connection', async () => {
  let requests = 0;
  const server = await rawServer((socket) => {
    if (++requests % 2 === 1) socket.write(`${OK}content-length: 100000\r\n\r\n${'a'.repeat(100_000)}`);
    else socket.write(`${OK}content-length: 2\r\n\r\nok`);
  });
  const sender = loopbackSender({ maxConnectionsPerOrigin: 1 });
  for (let n = 1; n <= 6; n++) {
    const { bodyCut } = responseOf(await sender.send(post(server.url)));
    expect(bodyCut).toBe(n % 2 === 1 ? 'body_too_large' : null);
  }
});

test('an answer nobody asked for is not taken for that of the next request', async () => {
  let requests = 0;
  const empty = 'content-length: 0\r\n\r\n';
  const server = await rawServer((socket) => {
    if (++requests === 1) socket.write(`HTTP/1.1 500 No\r\n${empty}${OK}${empty}`);
    else socket.write(`HTTP/1.1 503 No\r\n${empty}`);
  });
  const sender = loopbackSender({ maxConnectionsPerOrigin: 1 });
  expect(responseOf(await sender.send(post(server.url))).statusCode).toBe(500);
  expect(responseOf(await sender.send(post(server.url))).statusCode).toBe(503);
  expect(server.connections()).toBe(2);
});

test.each(['99999999', '-1', 'Fri, 31 Dec 9999 23:59:59 GMT', 'soon', '120, 99999999'])(
  'Retry-After: %s comes through as it is',
  async (value) => {
    const server = await rawServer((socket) =>
      socket.write(`HTTP/1.1 503 Busy\r\nRetry-After: ${value}\r\ncontent-length: 0\r\n\r\n`),
    );
    const result = responseOf(await loopbackSender().send(post(server.url)));
    expect(result).toMatchObject({ statusCode: 503, headers: { 'retry-after': value } });
  },
);
