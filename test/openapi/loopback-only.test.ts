import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

/** The fuzzer's own process: what it registers at random must not be reached. */
const SCRIPT = `
  import { allowLoopbackOnly } from './scripts/loopback-only.mjs';
  const refused = allowLoopbackOnly();
  const { default: net } = await import('node:net');
  const { default: tls } = await import('node:tls');
  const { default: dns } = await import('node:dns');
  const { request } = await import('undici');
  const { createServer } = await import('node:http');
  const outcome = (socket) => new Promise((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('error', (error) => resolve(error.code));
  }).finally(() => socket.destroy());
  const server = createServer((_req, res) => res.end('here'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const found = {
    // TEST-NET-1 (RFC 5737): nothing is there.
    net: await outcome(net.connect({ host: '192.0.2.1', port: 80 })),
    positional: await outcome(net.connect(80, '192.0.2.1')),
    tls: await outcome(tls.connect({ host: '192.0.2.1', port: 443 })),
    v6: await outcome(net.connect({ host: '2001:db8::1', port: 80 })),
    undici: await request('http://192.0.2.1/').catch((error) => error.code),
    name: await new Promise((resolve) => dns.lookup('example.com', (error) => resolve(error?.code))),
    refused: refused(),
    loopback: await outcome(net.connect({ host: '127.0.0.1', port })),
    byName: await request('http://localhost:' + port).then(({ body }) => body.text(), (error) => error.code),
  };
  server.close();
  console.log(JSON.stringify(found));
  process.exit();
`;

test('a process that allows loopback only reaches nothing else', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', SCRIPT], {
    cwd: path.join(__dirname, '..', '..'),
  });
  expect(JSON.parse(stdout)).toEqual({
    net: 'ENETUNREACH',
    positional: 'ENETUNREACH',
    tls: 'ENETUNREACH',
    v6: 'ENETUNREACH',
    undici: 'ENETUNREACH',
    name: 'ENOTFOUND',
    refused: 5,
    loopback: 'connected',
    byName: 'here',
  });
});
