import { startReceiver } from '../support/receiver';
import { closeAll, closeLater, errorOf, loopbackSender, post, rawServer, responseOf } from './support';

afterEach(closeAll);

test('posts the bytes and headers as given, and brings back the whole answer', async () => {
  const receiver = closeLater(
    await startReceiver(() => ({ status: 201, headers: { 'retry-after': '7', 'x-a': 'b' }, body: 'thanks' })),
  );
  const body = Buffer.from([0, 255, 13, 10, 128]);
  const result = responseOf(
    await loopbackSender().send(post(`${receiver.url}/hook?x=1`, { headers: { 'X-Webhook-ID': 'evt_1' }, body })),
  );
  expect(result).toMatchObject({
    statusCode: 201,
    headers: { 'retry-after': '7', 'x-a': 'b' },
    bodyCut: null,
    remoteAddress: '127.0.0.1',
    startedAt: expect.any(Date),
    durationMs: expect.any(Number),
  });
  expect(result.body.toString()).toBe('thanks');
  expect(receiver.requests).toHaveLength(1);
  expect(receiver.requests[0]).toMatchObject({ method: 'POST', path: '/hook?x=1', body });
  expect(receiver.requests[0]?.headers).toMatchObject({
    'x-webhook-id': 'evt_1',
    'content-length': '5',
    host: receiver.url.slice('http://'.length),
  });
});

test.each([200, 204, 301, 400, 410, 429, 500, 503])('status %i is an answer', async (status) => {
  const receiver = closeLater(await startReceiver(() => ({ status })));
  expect(responseOf(await loopbackSender().send(post(receiver.url))).statusCode).toBe(status);
});

test('connections are kept, and their address is known each time', async () => {
  const server = await rawServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
  const sender = loopbackSender();
  for (let n = 0; n < 20; n++) {
    expect(responseOf(await sender.send(post(server.url))).remoteAddress).toBe('127.0.0.1');
  }
  // Two: undici gives a connection back one turn of the event loop after the answer.
  expect(server.connections()).toBeLessThanOrEqual(2);
});

describe('a redirect is an answer, and is not followed', () => {
  test.each([300, 301, 302, 303, 307, 308])('%i', async (status) => {
    const inside = closeLater(await startReceiver());
    const outside = closeLater(
      await startReceiver((_, n) => ({
        status,
        headers: { location: n === 1 ? 'http://169.254.169.254/latest/meta-data' : inside.url },
      })),
    );
    const sender = loopbackSender();
    expect(responseOf(await sender.send(post(outside.url)))).toMatchObject({
      statusCode: status,
      headers: { location: 'http://169.254.169.254/latest/meta-data' },
      remoteAddress: '127.0.0.1',
    });
    expect(responseOf(await sender.send(post(outside.url))).statusCode).toBe(status);
    expect(outside.requests).toHaveLength(2);
    expect(inside.requests).toHaveLength(0);
  });
});

describe('what is never sent', () => {
  test('plain http unless allowed, and a password in the URL', async () => {
    const receiver = closeLater(await startReceiver());
    const strict = loopbackSender({ allowHttp: false });
    expect(errorOf(await strict.send(post(receiver.url)))).toEqual({ stage: 'blocked', code: 'insecure_scheme' });
    const withPassword = receiver.url.replace('//', '//user:secret@');
    expect(errorOf(await loopbackSender().send(post(withPassword)))).toEqual({ stage: 'blocked', code: 'invalid_url' });
    expect(receiver.requests).toHaveLength(0);
  });

  test('a header that would break the request', async () => {
    const receiver = closeLater(await startReceiver());
    const result = await loopbackSender().send(post(receiver.url, { headers: { 'x-a': 'b\r\nx-c: d' } }));
    expect(errorOf(result)).toEqual({ stage: 'blocked', code: 'invalid_request' });
    expect(receiver.requests).toHaveLength(0);
  });
});

describe('when the receiver does not answer', () => {
  test('the time runs out', async () => {
    const receiver = closeLater(await startReceiver(() => 'hang'));
    const result = await loopbackSender().send(post(receiver.url, { timeoutMs: 300 }));
    expect(errorOf(result)).toEqual({ stage: 'timeout', code: 'headers_timeout' });
    expect(result.durationMs).toBeGreaterThanOrEqual(295);
    expect(result.remoteAddress).toBe('127.0.0.1');
    expect(receiver.requests).toHaveLength(1);
  });

  test('requests that waited in vain for a connection are not sent later', async () => {
    const receiver = closeLater(await startReceiver(() => 'hang'));
    const sender = loopbackSender({ maxConnectionsPerOrigin: 1 });
    const first = sender.send(post(receiver.url, { timeoutMs: 4_000 }));
    const waiting = [1, 2, 3].map(() => sender.send(post(receiver.url, { timeoutMs: 200 })));
    // Ours: nothing is known about the receiver, and there is nothing to write down.
    await Promise.all(waiting.map((one) => expect(one).rejects.toMatchObject({ reason: 'no_free_connection' })));
    expect(errorOf(await first).code).toBe('headers_timeout');
    receiver.setHandler(() => ({ status: 204 }));
    expect(responseOf(await sender.send(post(receiver.url, { body: Buffer.from('last') }))).statusCode).toBe(204);
    expect(receiver.requests.map(({ body }) => body.toString())).toEqual(['{"a":1}', 'last']);
  });

  test('waiting requests get a connection as soon as one is free', async () => {
    const receiver = closeLater(await startReceiver(() => ({ status: 200, delayMs: 20 })));
    const sender = loopbackSender({ maxConnectionsPerOrigin: 2 });
    const results = await Promise.all(Array.from({ length: 20 }, () => sender.send(post(receiver.url))));
    for (const result of results) expect(responseOf(result).statusCode).toBe(200);
    expect(receiver.requests).toHaveLength(20);
  });
});

test('close lets the request under way end; afterwards the fault is ours, not the receiver’s', async () => {
  const receiver = closeLater(await startReceiver(() => ({ status: 200, delayMs: 200 })));
  const sender = loopbackSender();
  const underWay = sender.send(post(receiver.url));
  await receiver.waitFor(1);
  await Promise.all([sender.close(), sender.close()]);
  expect(responseOf(await underWay).statusCode).toBe(200);
  await expect(sender.send(post(receiver.url))).rejects.toMatchObject({ name: 'OwnTroubleError', reason: 'stopping' });
});
