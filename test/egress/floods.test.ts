import { MAX_BODY_BYTES } from '../../src/egress/exchange';
import type { SendResult } from '../../src/egress/types';
import { closeAll, loopbackSender, post, rawServer } from './support';

afterEach(closeAll);

const MEBIBYTE = 1024 * 1024;
const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

/** A receiver that writes `start` and then `more` for as long as the connection takes it. */
async function floodingServer(start: string, more: string) {
  const block = Buffer.from(more.repeat(Math.ceil((64 * 1024) / more.length)));
  let written = 0;
  let closed = () => {};
  const connectionClosed = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const { url } = await rawServer((socket) => {
    const flood = () => {
      do written += block.length;
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', flood);
    socket.on('close', () => closed());
    socket.write(start);
    flood();
  });
  return { url, connectionClosed, written: () => written };
}

/** The error's code, or the status, why its body was cut and how much of it was kept. */
function summaryOf(result: SendResult): unknown {
  return result.kind === 'error' ? result.code : [result.statusCode, result.bodyCut, result.body.length];
}

test.each<[string, unknown, string, string]>([
  ['header lines', 'headers_too_large', OK, 'x-more: of the same\r\n'],
  ['empty headers', 'headers_too_large', OK, 'a:\r\n'],
  ['one header name', 'headers_too_large', OK, 'a'],
  ['one header value', 'headers_too_large', `${OK}a: `, 'b'],
  ['folded header lines', 'headers_too_large', `${OK}a: b\r\n`, ' c\r\n'],
  ['a reason phrase', 'headers_too_large', 'HTTP/1.1 200 ', 'O'],
  ['space before a header value', 'headers_too_large', `${OK}a:`, ' '],
  ['a chunk size', [200, 'body_broken_off', 0], CHUNKED, '0'],
  ['a chunk extension', [200, 'body_broken_off', 0], `${CHUNKED}3;`, 'a'],
  ['zero bytes', 'invalid_response', '', '\0'],
  ['1xx answers', 'invalid_response', '', 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n'],
  ['whole answers', [200, null, 0], '', `${OK}content-length: 0\r\n\r\n`],
  ['a body of a gigabyte', [200, 'body_too_large', MAX_BODY_BYTES], `${OK}content-length: ${2 ** 30}\r\n\r\n`, 'a'],
  ['a body without a length', [200, 'body_too_large', MAX_BODY_BYTES], `${OK}\r\n`, 'a'],
  ['chunks of one byte', [200, 'body_too_large', MAX_BODY_BYTES], CHUNKED, '1\r\na\r\n'],
  ['trailers', [200, 'body_broken_off', 3], `${CHUNKED}3\r\nabc\r\n0\r\n`, 'a: b\r\n'],
])('%s without end: the connection is closed early, with %j', async (_, expected, start, more) => {
  const server = await floodingServer(start, more);
  const result = await loopbackSender().send(post(server.url, { timeoutMs: 20_000 }));
  expect(summaryOf(result)).toEqual(expected);
  await server.connectionClosed;
  expect(server.written()).toBeLessThan(64 * MEBIBYTE); // what the socket buffers took
});

/** What is skipped; only time ends it. */
test.each<[string, unknown, string, string]>([['empty lines before the status', 'headers_timeout', '', '\r\n']])(
  '%s without end: the time runs out, and nothing of it is kept in memory',
  async (_, expected, start, more) => {
    const server = await floodingServer(start, more);
    const before = process.memoryUsage().rss;
    let most = before;
    const sampling = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 20);
    const result = await loopbackSender().send(post(server.url, { timeoutMs: 1_000 }));
    clearInterval(sampling);
    expect(summaryOf(result)).toEqual(expected);
    await server.connectionClosed;
    expect(most - before).toBeLessThan(96 * MEBIBYTE); // of hundreds that went by
  },
);
