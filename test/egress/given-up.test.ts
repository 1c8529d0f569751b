import type { Socket } from 'node:net';
import { NotSentError } from '../../src/egress/exchange';
import { startReceiver } from '../support/receiver';
import { closeAll, closeLater, drip, loopbackSender, post, type Resolve, rawServer, responseOf } from './support';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

/** Long enough for a connection that is being made on loopback. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 200));

test.each<[string, (socket: Socket) => void]>([
  ['no answer', () => undefined],
  ['half an answer', (socket) => socket.write(OK)],
  ['headers by the byte', (socket) => drip(socket, `${OK}x-slow: yes\r\n`, 1)],
  ['a body that stalls', (socket) => socket.write(`${OK}content-length: 9\r\n\r\n`)],
  ['a body that is too large', (socket) => socket.write(`${OK}content-length: 99999\r\n\r\n${'a'.repeat(99_999)}`)],
  ['a broken body', (socket) => socket.write(`${OK}transfer-encoding: chunked\r\n\r\nzz\r\n`)],
  ['no HTTP', (socket) => socket.write('220 mail.example.com ESMTP\r\n')],
  ['a switch of protocols', (socket) => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n')],
])('after %s no connection is made that nobody needs', async (_, serve) => {
  const server = await rawServer(serve);
  const sender = loopbackSender({ maxConnectionsPerOrigin: 1 });
  await sender.send(post(server.url, { timeoutMs: 300 }));
  await aMoment();
  expect(server.connections()).toBe(1);
});

test('a request that may not go any more leaves the connection as it is', async () => {
  const server = await rawServer((socket) => socket.write(`${OK}content-length: 2\r\n\r\nok`));
  const sender = loopbackSender({ maxConnectionsPerOrigin: 1 });
  const mayGo = () => false;
  await expect(sender.send(post(server.url, { mayGo }))).rejects.toBeInstanceOf(NotSentError);
  for (let n = 0; n < 3; n++) {
    expect(responseOf(await sender.send(post(server.url))).statusCode).toBe(200);
    await expect(sender.send(post(server.url, { mayGo }))).rejects.toBeInstanceOf(NotSentError);
  }
  expect(server.connections()).toBe(1);
});

test('a request that was given up while its name was looked up is not connected for', async () => {
  const receiver = closeLater(await startReceiver());
  const { port } = new URL(receiver.url);
  const server = await rawServer(() => undefined, 'eager');
  let answer: (addresses: { address: string; family: number }[]) => void = () => undefined;
  const resolve: Resolve = () =>
    new Promise((found) => {
      answer = found;
    });
  const sender = loopbackSender({ resolve });
  expect(await sender.send(post(`http://slow.test:${server.port}/`, { timeoutMs: 200 }))).toMatchObject({
    code: 'dns_timeout',
  });
  answer([{ address: '127.0.0.1', family: 4 }]);
  await aMoment();
  expect(server.connections()).toBe(0);
  // The sender goes on.
  expect(responseOf(await sender.send(post(`http://127.0.0.1:${port}/`))).statusCode).toBe(204);
});
