import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { readConfig } from '../src/config';
import { connectionOptions, nativeConnectionOptions } from '../src/temporal/connection';
import { until } from './support/until';

const KEY = 'a-key-that-must-not-be-read-by-others';
/** RFC 8446 5.1: the type of a record that holds a handshake message; everything on TLS begins with it. */
const HANDSHAKE = 0x16;

/** Takes connections and says nothing; everything that came, by connection. */
async function listenSilently() {
  const received: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const at = received.push(Buffer.alloc(0)) - 1;
    sockets.push(socket);
    socket.on('data', (bytes) => {
      received[at] = Buffer.concat([received[at]!, bytes]);
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test.each([
  ['alone', {}],
  ['beside TEMPORAL_TLS=true', { TEMPORAL_TLS: 'true' }],
  ['beside an empty TEMPORAL_TLS', { TEMPORAL_TLS: '' }],
])('an API key %s goes out over TLS only, on both kinds of connection', async (_how, more) => {
  const server = await listenSilently();
  const config = readConfig({ TEMPORAL_ADDRESS: server.address, TEMPORAL_API_KEY: KEY, ...more });
  const client = Connection.lazy(await connectionOptions(config));
  const asked = client
    .withDeadline(Date.now() + 3_000, () => client.workflowService.getSystemInfo({}))
    .catch(() => undefined);
  await until('the client to connect', () => (server.received[0]?.length ?? 0) > 0);
  await asked;
  const connections = server.received.length;
  const native = NativeConnection.connect(await nativeConnectionOptions(config)).catch(() => undefined);
  await until('the worker to connect', () => (server.received[connections]?.length ?? 0) > 0);
  await client.close();
  for (const bytes of server.received.filter(({ length }) => length > 0)) {
    expect(bytes[0]).toBe(HANDSHAKE);
    expect(bytes.toString('latin1')).not.toContain(KEY);
  }
  server.close();
  await native;
});

test('without a key and without being told to, there is no TLS', async () => {
  expect((await connectionOptions(readConfig({}))).tls).toBe(false);
  expect((await connectionOptions(readConfig({ TEMPORAL_TLS: 'true' }))).tls).toBe(true);
});

test.each([{ TEMPORAL_API_KEY: KEY }, { TEMPORAL_TLS_CERT_FILE: '/c.pem', TEMPORAL_TLS_KEY_FILE: '/k.pem' }])(
  'TLS that is turned off beside what needs it is refused',
  (given) => {
    const wrong = () => readConfig({ ...given, TEMPORAL_TLS: 'false' });
    expect(wrong).toThrow(/TEMPORAL_TLS: must not be false beside TEMPORAL_/);
    expect(wrong).not.toThrow(KEY);
  },
);
