import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { startReceiver } from '../support/receiver';
import { certificate, closeAll, closeLater, loopbackSender, post, to } from './support';

afterEach(closeAll);

const pem = (name: string) => readFileSync(join(__dirname, '../support/fixtures/tls', `${name}.pem`), 'utf8');
const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

/** An endpoint with a certificate for many names; what each connection was told. */
async function endpoint(address: string) {
  const told: { sni: unknown; host: string | undefined; path: string | undefined }[] = [];
  const server = createServer({ key: certificate.key, cert: pem('many-names') }, (request, response) => {
    const { servername } = request.socket as TLSSocket & { servername?: unknown };
    told.push({ sni: servername || undefined, host: request.headers.host, path: request.url });
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  closeLater({
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  });
  return { told, port: (server.address() as AddressInfo).port };
}

describe('a host in a URL is what TLS is told and Host says', () => {
  test.each<[inUrl: string, sni: string | undefined, host: string]>([
    ['plain.test', 'plain.test', 'plain.test'],
    ['PLAIN.test', 'plain.test', 'plain.test'],
    ['plain.test.', 'plain.test', 'plain.test.'],
    ['localhost.', 'localhost', 'localhost.'],
    ['my_host.wild.test', 'my_host.wild.test', 'my_host.wild.test'],
    ['_a_.wild.test.', '_a_.wild.test', '_a_.wild.test.'],
    ['-a.wild.test', '-a.wild.test', '-a.wild.test'],
    [`${'a'.repeat(63)}.wild.test`, `${'a'.repeat(63)}.wild.test`, `${'a'.repeat(63)}.wild.test`],
    ['bücher.example', 'xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example.', 'xn--bcher-kva.example', 'xn--bcher-kva.example.'],
    // An address is never told (RFC 6066 3).
    ['127.0.0.1', undefined, '127.0.0.1'],
    ['2130706433', undefined, '127.0.0.1'],
  ])('%s', async (inUrl, sni, host) => {
    const { told, port } = await endpoint('127.0.0.1');
    const sender = loopbackSender({ certificateAuthorities: [pem('ca-root')], resolve: to('127.0.0.1') });
    const result = await sender.send(post(`https://${inUrl}:${port}/x`));
    expect(result).toMatchObject({ kind: 'response', statusCode: 200, remoteAddress: '127.0.0.1' });
    expect(told).toEqual([{ sni, host: `${host}:${port}`, path: '/x' }]);
  });

  (hasIPv6 ? test.each : test.skip.each)(['[::1]', '[0:0:0:0:0:0:0:1]', '[0::1]'])('%s', async (inUrl) => {
    const { told, port } = await endpoint('::1');
    const sender = loopbackSender({ certificateAuthorities: [pem('ca-root')] });
    const result = await sender.send(post(`https://${inUrl}:${port}/x`));
    expect(result).toMatchObject({ kind: 'response', remoteAddress: '::1' });
    expect(told).toEqual([{ sni: undefined, host: `[::1]:${port}`, path: '/x' }]);
  });

  test.each([`${'a'.repeat(64)}.test`, 'a..test', 'a{b}.test', 'a"b.test', `${'a.'.repeat(127)}test`])(
    'nothing is looked up for %s, which cannot be one',
    async (host) => {
      const lookedUp: string[] = [];
      const resolve = async (name: string) => {
        lookedUp.push(name);
        return [];
      };
      const result = await loopbackSender({ resolve }).send(post(`https://${host}/`));
      expect(result).toMatchObject({ kind: 'error', stage: 'blocked', code: 'invalid_url' });
      expect(lookedUp).toEqual([]);
    },
  );
});

test.each([
  ['/{id}/a|b^c`d', '/%7Bid%7D/a%7Cb%5Ec%60d'],
  ['/x?a={1}|{2}&b=^`', '/x?a=%7B1%7D%7C%7B2%7D&b=%5E%60'],
  ['/list[0]?ids[]=100%', '/list%5B0%5D?ids%5B%5D=100%25'],
  ['/ü?q=ö#not-sent', '/%C3%BC?q=%C3%B6'],
])('%s is sent as RFC 3986 writes it, also if it was stored raw', async (raw, sent) => {
  const receiver = closeLater(await startReceiver());
  await loopbackSender().send(post(`${receiver.url}${raw}`));
  expect(receiver.requests.map(({ path }) => path)).toEqual([sent]);
});
