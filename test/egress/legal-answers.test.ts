import { BROKEN_RULES } from '../../src/egress/answer-head';
import { AnswerReader } from '../../src/egress/answer-reader';
import { closeAll, loopbackSender, post, rawServer, responseOf } from './support';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';
const LENGTH_3 = 'content-length: 3\r\n\r\nabc';
const CHUNKED = 'transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';

interface Legal {
  /** What it is, with the rule that makes a client take it. */
  name: string;
  answer: string;
  status?: number;
  body?: string;
  headers?: Record<string, string>;
  /** Whether the next request may use the same connection. */
  kept?: boolean;
  /** The body lasts until the connection closes. */
  untilClosed?: boolean;
}

/** What RFC 9110 and RFC 9112 oblige a client to take, and what they allow it to take and receivers send. */
const LEGAL: Legal[] = [
  // Interim answers (RFC 9110 15.2: a client MUST be able to parse one or more, even if it does not expect one).
  { name: '100 Continue that nobody asked for', answer: `HTTP/1.1 100 Continue\r\n\r\n${OK}${LENGTH_3}` },
  { name: 'two of them', answer: `${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(2)}${OK}${LENGTH_3}` },
  { name: '100 with headers', answer: `HTTP/1.1 100 Go on\r\ndate: x\r\n\r\n${OK}${LENGTH_3}` },
  { name: '102 Processing', answer: `HTTP/1.1 102 Processing\r\n\r\n${OK}${LENGTH_3}` },
  { name: '103 Early Hints', answer: `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}${LENGTH_3}` },
  {
    name: '104, 150 and 199',
    answer: `${[104, 150, 199].map((n) => `HTTP/1.1 ${n} x\r\n\r\n`).join('')}${OK}${LENGTH_3}`,
  },
  {
    name: 'an interim answer that speaks of a length, which it has not (RFC 9112 6.3, 1)',
    answer: `HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\n${OK}${LENGTH_3}`,
  },
  {
    name: 'an interim answer that says close, which is not about the final one',
    answer: `HTTP/1.1 100 Continue\r\nconnection: close\r\n\r\n${OK}${LENGTH_3}`,
  },
  { name: '100, then a failure', answer: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n${LENGTH_3}`, status: 503 },

  // Status (RFC 9110 15: an unknown code is treated as x00 of its class; beyond 599 as a server's error).
  ...[226, 299, 399, 418, 451, 499, 599, 600, 999].map((status) => ({
    name: `status ${status}`,
    answer: `HTTP/1.1 ${status} Hm\r\n${LENGTH_3}`,
    status,
  })),
  { name: 'no reason phrase (RFC 9112 4)', answer: `HTTP/1.1 200 \r\n${LENGTH_3}` },
  { name: 'nor the space before it', answer: `HTTP/1.1 200\r\n${LENGTH_3}` },
  { name: 'a reason phrase beyond US-ASCII', answer: `HTTP/1.1 200 Accept\xe9\r\n${LENGTH_3}` },
  { name: 'a reason phrase that looks like a header', answer: `HTTP/1.1 200 a: b\r\n${LENGTH_3}` },
  { name: 'more white space in the status line (RFC 9112 4)', answer: `HTTP/1.1  200\tOK\r\n${LENGTH_3}` },
  { name: 'a higher minor version (RFC 9110 2.5)', answer: `HTTP/1.2 200 OK\r\n${LENGTH_3}` },

  // Header lines (RFC 9110 5, RFC 9112 5).
  {
    name: 'names in any case (RFC 9110 5.1)',
    answer: `${OK}X-A: b\r\nCONTENT-length: 3\r\n\r\nabc`,
    headers: { 'x-a': 'b' },
  },
  { name: 'no space after the colon', answer: `${OK}x-a:b\r\ncontent-length:3\r\n\r\nabc`, headers: { 'x-a': 'b' } },
  { name: 'white space around a value', answer: `${OK}x-a: \t b c \t\r\n${LENGTH_3}`, headers: { 'x-a': 'b c' } },
  { name: 'an empty value', answer: `${OK}x-a:\r\n${LENGTH_3}`, headers: { 'x-a': '' } },
  {
    name: 'every character of a token',
    answer: `${OK}!#$%&'*+-.^_\x60|~09az: b\r\n${LENGTH_3}`,
    headers: { "!#$%&'*+-.^_\x60|~09az": 'b' },
  },
  {
    name: 'a header called __proto__',
    answer: `${OK}__proto__: b\r\n${LENGTH_3}`,
    headers: Object.fromEntries([['__proto__', 'b']]),
  },
  {
    name: 'lines of one name are one list (RFC 9110 5.3)',
    answer: `${OK}x-a: b\r\nx-c: d\r\nX-A: e\r\n${LENGTH_3}`,
    headers: { 'x-a': 'b, e' },
  },
  {
    name: 'bytes beyond US-ASCII in a value (RFC 9110 5.5)',
    answer: `${OK}x-a: \xe0 caf\xc3\xa0\r\n${LENGTH_3}`,
    headers: { 'x-a': '\xe0 caf\xc3\xa0' },
  },
  {
    name: 'a folded value (RFC 9112 5.2: MUST be replaced by a space)',
    answer: `${OK}x-a: b\r\n  c\r\n\td\r\n${LENGTH_3}`,
    headers: { 'x-a': 'b c d' },
  },
  { name: 'a value that begins on the folded line', answer: `${OK}x-a:\r\n b\r\n${LENGTH_3}`, headers: { 'x-a': 'b' } },
  { name: 'a folded length', answer: `${OK}content-length:\r\n 3\r\n\r\nabc` },
  {
    name: 'white space before the first header (RFC 9112 2.2)',
    answer: `${OK} x-a: b\r\nx-c: d\r\n${LENGTH_3}`,
    headers: { 'x-c': 'd' },
  },
  {
    name: 'white space before the colon (RFC 9112 5.1)',
    answer: `${OK}x-a : b\r\ncontent-length\t: 3\r\n\r\nabc`,
    headers: { 'x-a': 'b' },
  },
  {
    name: 'line feeds alone (RFC 9112 2.2)',
    answer: 'HTTP/1.1 200 OK\nx-a: b\ncontent-length: 3\n\nabc',
    headers: { 'x-a': 'b' },
  },
  {
    name: 'an offer to upgrade (RFC 9110 7.8)',
    answer: `${OK}upgrade: h2c\r\nconnection: Upgrade, Keep-Alive\r\n${LENGTH_3}`,
    headers: { upgrade: 'h2c' },
  },
  { name: 'empty lines before it (RFC 9112 9.2)', answer: `\r\n\r\n${OK}${LENGTH_3}` },
  { name: 'an empty line after it (RFC 9112 9.2)', answer: `${OK}${LENGTH_3}\r\n` },

  // How long the body is (RFC 9112 6.3).
  {
    name: '204 with a length (1)',
    answer: 'HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\n',
    status: 204,
    body: '',
  },
  {
    name: '204 with a coding (1)',
    answer: 'HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n',
    status: 204,
    body: '',
  },
  {
    name: '304 with a length (1)',
    answer: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n',
    status: 304,
    body: '',
  },
  {
    name: '205 with chunks',
    answer: 'HTTP/1.1 205 Reset Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    status: 205,
    body: '',
  },
  { name: 'chunks', answer: `${OK}${CHUNKED}` },
  { name: 'Chunked in any case (7)', answer: `${OK}Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n` },
  {
    name: 'empty elements in the list of codings (RFC 9110 5.6.1)',
    answer: `${OK}transfer-encoding: , chunked ,\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  },
  { name: 'a coding under the chunks', answer: `${OK}transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n` },
  {
    name: 'chunks and a length: chunks count, and the connection is closed (3)',
    answer: `${OK}content-length: 7\r\n${CHUNKED}`,
    kept: false,
  },
  {
    name: 'a coding that is not chunked: until it is closed (4)',
    answer: `${OK}transfer-encoding: gzip\r\n\r\nabc`,
    untilClosed: true,
    kept: false,
  },
  {
    name: 'chunked, but not as the last coding (4)',
    answer: `${OK}transfer-encoding: chunked, gzip\r\n\r\nabc`,
    untilClosed: true,
    kept: false,
  },
  { name: 'one length twice, in a list (5)', answer: `${OK}content-length: 3, 3\r\n\r\nabc` },
  { name: 'one length twice, in two lines (5)', answer: `${OK}content-length: 3\r\ncontent-length: 3\r\n\r\nabc` },
  { name: 'one length with zeros before it', answer: `${OK}content-length: 0003\r\n\r\nabc` },
  { name: 'no length: until it is closed (8)', answer: `${OK}\r\nabc`, untilClosed: true, kept: false },
  { name: 'HTTP/1.0 without a length', answer: 'HTTP/1.0 200 OK\r\n\r\nabc', untilClosed: true, kept: false },

  // Chunks (RFC 9112 7.1).
  {
    name: 'sizes in any case, with zeros',
    answer: `${OK}transfer-encoding: chunked\r\n\r\n00A\r\n0123456789\r\n000b\r\n0123456789a\r\n000\r\n\r\n`,
    body: '01234567890123456789a',
  },
  {
    name: 'extensions of chunks (7.1.1: MUST be ignored)',
    answer: `${OK}transfer-encoding: chunked\r\n\r\n1;a\r\na\r\n1;b=c\r\nb\r\n1;d="e;f"\r\nc\r\n0;g\r\n\r\n`,
  },
  {
    name: 'white space before them (RFC 9110 5.6.3)',
    answer: `${OK}transfer-encoding: chunked\r\n\r\n2 ;a = b\r\nab\r\n1\t\r\nc\r\n0 \r\n\r\n`,
  },
  {
    name: 'trailers (7.1.2)',
    answer: `${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-a: b\r\nx-c: d\r\n\r\n`,
  },

  // Whether the connection may be used again (RFC 9112 9.3 and 9.6).
  { name: 'close', answer: `${OK}connection: close\r\n${LENGTH_3}`, kept: false },
  { name: 'close in any case, in a list', answer: `${OK}connection: x-a, CLOSE\r\n${LENGTH_3}`, kept: false },
  {
    name: 'close and keep-alive',
    answer: `${OK}connection: keep-alive\r\nconnection: close\r\n${LENGTH_3}`,
    kept: false,
  },
  { name: 'keep-alive', answer: `${OK}connection: Keep-Alive\r\n${LENGTH_3}` },
  { name: 'HTTP/1.0', answer: `HTTP/1.0 200 OK\r\n${LENGTH_3}`, kept: false },
  { name: 'HTTP/1.0 that keeps it', answer: `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n${LENGTH_3}` },
  {
    name: 'HTTP/1.0 with chunks: faulty, read, closed (6.1)',
    answer: `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n${CHUNKED}`,
    kept: false,
  },
  { name: 'a Keep-Alive that cannot be read', answer: `${OK}keep-alive: soon\r\n${LENGTH_3}` },
  { name: 'half a minute to idle', answer: `${OK}keep-alive: timeout=30, max=5\r\n${LENGTH_3}` },
  { name: 'no time to idle', answer: `${OK}keep-alive: timeout=0\r\n${LENGTH_3}`, kept: false },
  {
    name: 'less time than the way there and back may take',
    answer: `${OK}keep-alive: Timeout = "1", max=100\r\n${LENGTH_3}`,
    kept: false,
  },
  { name: 'no more requests', answer: `${OK}keep-alive: timeout=30, max=0\r\n${LENGTH_3}`, kept: false },
];

test.each(LEGAL)(
  'is taken: $name',
  async ({ answer, status = 200, body = 'abc', headers = {}, kept = true, untilClosed }) => {
    const bytes = Buffer.from(answer, 'latin1');
    const server = await rawServer((socket) => (untilClosed ? socket.end(bytes) : socket.write(bytes)));
    const sender = loopbackSender({ maxConnectionsPerOrigin: 1 });
    for (let n = 1; n <= 3; n++) {
      const result = responseOf(await sender.send(post(server.url, { timeoutMs: 5_000 })));
      expect(result).toMatchObject({ statusCode: status, bodyCut: null });
      expect(result.body.toString('latin1')).toBe(body);
      for (const [name, value] of Object.entries(headers))
        expect(Object.entries(result.headers)).toContainEqual([name, value]);
    }
    expect(server.connections()).toBe(kept ? 1 : 3);
  },
);

/** Gives a reader an answer in pieces. */
function read(pieces: Buffer[]) {
  const seen = { status: 0, headers: {}, body: '', ended: false, refused: '', closed: false, begun: false };
  const reader = new AnswerReader({
    close: () => {
      seen.closed = true;
    },
    isWriting: () => false,
  });
  reader.expect({
    onAnswer: (status, headers) => Object.assign(seen, { status, headers }),
    onAnswerBody: (data) => {
      seen.body += data.toString('latin1');
    },
    onAnswerEnd: () => {
      seen.ended = true;
    },
    onBodyBroken: () => undefined,
    onRefused: (code, rule) => {
      seen.refused = rule ?? code;
    },
  });
  const instead = pieces.map((piece) => reader.take(piece)?.toString()).filter((one) => one !== undefined);
  reader.end();
  seen.begun = reader.begun;
  return { ...seen, instead };
}

const byTheByte = (answer: string) => [...answer].map((character) => Buffer.from(character, 'latin1'));

test.each(LEGAL)('reads the same by the byte as at once: $name', ({ answer, status = 200, body = 'abc' }) => {
  const seen = read(byTheByte(answer));
  expect(seen).toMatchObject({ status, body, ended: true, closed: false });
  expect(seen).toEqual(read([Buffer.from(answer, 'latin1')]));
});

const REFUSED: [string, keyof typeof BROKEN_RULES, string][] = [
  ['another protocol', 'status_line', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['TLS', 'status_line', '\x15\x03\x01\x00\x02\x02\x46'],
  ['HTTP/2', 'status_line', 'HTTP/2 200\r\n\r\n'],
  ['HTTP/0.9', 'status_line', '<html></html>'],
  ['a lower-case version', 'status_line', `http/1.1 200 OK\r\n${LENGTH_3}`],
  ['no status code', 'status_code', 'HTTP/1.1 OK\r\n\r\n'],
  ['status 99', 'status_code', `HTTP/1.1 99 Hm\r\n${LENGTH_3}`],
  ['status 099', 'status_code', `HTTP/1.1 099 Hm\r\n${LENGTH_3}`],
  ['status 2000', 'status_code', `HTTP/1.1 2000 Hm\r\n${LENGTH_3}`],
  ['a line without a colon', 'no_colon', `${OK}hello\r\n${LENGTH_3}`],
  ['an empty name', 'field_name', `${OK}: b\r\n${LENGTH_3}`],
  ['a name of two words', 'field_name', `${OK}x a: b\r\n${LENGTH_3}`],
  ['a name beyond US-ASCII', 'field_name', `${OK}\xe9: b\r\n${LENGTH_3}`],
  ['a NUL', 'field_value', `${OK}x-a: b\0c\r\n${LENGTH_3}`],
  ['a lone carriage return', 'field_value', `${OK}x-a: b\rc\r\n${LENGTH_3}`],
  ['two lengths', 'content_length', `${OK}content-length: 3\r\ncontent-length: 4\r\n\r\nabc`],
  ...['-3', '+3', '0x3', '3, 4', '3 3', '', ',', 'three', '3.0'].map((length): [string, 'content_length', string] => [
    `the length "${length}"`,
    'content_length',
    `${OK}content-length: ${length}\r\n\r\nabc`,
  ]),
  ['101', 'switched_protocol', 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ['101 that names no protocol', 'switched_protocol', 'HTTP/1.1 101 Switching\r\n\r\n'],
  ['33 interim answers', 'too_many_interim', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(33)}${OK}${LENGTH_3}`],
];

test.each(REFUSED)('is refused, and the record says why: %s', async (_, rule, answer) => {
  const bytes = Buffer.from(answer, 'latin1');
  const server = await rawServer((socket) => socket.write(bytes));
  const result = await loopbackSender().send(post(server.url, { timeoutMs: 5_000 }));
  expect(result).toMatchObject({
    kind: 'error',
    stage: 'response',
    code: 'invalid_response',
    message: `The answer is not valid HTTP: ${BROKEN_RULES[rule]}`,
  });
  expect(read(byTheByte(answer))).toMatchObject({ refused: BROKEN_RULES[rule], closed: true, ended: false });
});

test('empty lines are not the beginning of an answer', () => {
  expect(read([Buffer.from('\r\n\r\n')]).begun).toBe(false);
  expect(read([Buffer.from('\r\nH')]).begun).toBe(true);
});

test('an idle connection drops empty lines and is closed by anything else', () => {
  let closed = false;
  const reader = new AnswerReader({
    close: () => {
      closed = true;
    },
    isWriting: () => false,
  });
  expect(reader.take(Buffer.from('\r\n'))).toBeUndefined();
  expect(closed).toBe(false);
  reader.take(Buffer.from('HTTP/1.1 408 Too late\r\n\r\n'));
  expect(closed).toBe(true);
});

test('an answer that came before the request was written whole closes the connection', () => {
  const reader = new AnswerReader({ close: () => undefined, isWriting: () => true });
  reader.expect({
    onAnswer: () => undefined,
    onAnswerBody: () => undefined,
    onAnswerEnd: () => undefined,
    onBodyBroken: () => undefined,
    onRefused: () => undefined,
  });
  expect(reader.take(Buffer.from(`${OK}${LENGTH_3}`))?.toString()).toContain('connection: close');
});
