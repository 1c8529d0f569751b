import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLookups } from '../../src/egress/lookups';
import { createNameServers, type NameServersSettings } from '../../src/egress/name-servers';
import { type DnsAnswer, type DnsQuestion, startDnsServer } from '../support/dns-server';
import { closeAll, closeLater } from './support';

const folder = mkdtempSync(path.join(tmpdir(), 'posthorn-names-'));
afterEach(closeAll);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const at = path.join(folder, name);
  writeFileSync(at, text);
  return at;
}

async function dns(answer: (question: DnsQuestion) => DnsAnswer | Promise<DnsAnswer>) {
  return closeLater(await startDnsServer(answer));
}

/** Lookups as deliveries make them. */
function lookups(servers: string[], { timeoutMs = 2_000, ...more }: Partial<NameServersSettings> = {}) {
  const nameServers = createNameServers({
    timeoutMs,
    servers,
    hostsFile: file('empty', ''),
    resolvConf: file('no-search', ''),
    ...more,
  });
  const { find } = createLookups({ nameServers, timeoutMs });
  return (name: string) => find(name, 'a tenant');
}

const later = (ms: number, said: DnsAnswer) => new Promise<DnsAnswer>((done) => setTimeout(() => done(said), ms));

test('both families are asked for, and IPv4 comes first', async () => {
  const { address } = await dns(({ type }) => (type === 'A' ? ['192.0.2.7', '192.0.2.8'] : ['2001:db8::1']));
  expect(await lookups([address])('name.test')).toEqual([
    { address: '192.0.2.7', family: 4 },
    { address: '192.0.2.8', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ]);
});

test.each<[string, (question: DnsQuestion) => DnsAnswer | Promise<DnsAnswer>]>([
  ['has no IPv6 addresses', ({ type }) => (type === 'A' ? ['192.0.2.7'] : [])],
  ['does not exist for IPv6', ({ type }) => (type === 'A' ? ['192.0.2.7'] : 'nxdomain')],
  ['fails for IPv6', ({ type }) => (type === 'A' ? ['192.0.2.7'] : 'servfail')],
  ['is never answered for IPv6', ({ type }) => (type === 'A' ? ['192.0.2.7'] : 'silent')],
  ['is answered slowly', ({ type }) => later(700, type === 'A' ? ['192.0.2.7'] : [])],
])('a name that %s is found', async (_, answer) => {
  const { address } = await dns(answer);
  expect(await lookups([address], { timeoutMs: 10_000 })('name.test')).toEqual([{ address: '192.0.2.7', family: 4 }]);
});

test('a packet that is lost does not make a name time out', async () => {
  let packets = 0;
  const { address } = await dns(({ type }) => (++packets <= 2 ? 'silent' : type === 'A' ? ['192.0.2.7'] : []));
  expect(await lookups([address])('name.test')).toEqual([{ address: '192.0.2.7', family: 4 }]);
});

test('a name server that is away is done without, where there is another', async () => {
  const { address } = await dns(({ type }) => (type === 'A' ? ['192.0.2.7'] : []));
  const gone = await startDnsServer(() => 'silent');
  await gone.close();
  expect(await lookups([gone.address, address])('name.test')).toHaveLength(1);
});

test.each<[DnsAnswer, string]>([
  ['nxdomain', 'none'],
  [[], 'none'],
  ['servfail', 'dns_failed'],
  ['refused', 'dns_failed'],
])('%j: %s', async (said, outcome) => {
  const { address } = await dns(() => said);
  const found = lookups([address])('name.test');
  if (outcome === 'none') expect(await found).toEqual([]);
  else await expect(found).rejects.toMatchObject({ name: 'EgressError', sendErrorCode: outcome });
});

test.each(['a..test', `${'a'.repeat(64)}.test`, `${'abc.'.repeat(80)}test`])('%s is no name', async (name) => {
  const { address } = await dns(() => ['192.0.2.7']);
  expect(await lookups([address])(name)).toEqual([]);
});

describe('a name that is not answered in time', () => {
  test('is the name’s fault where the name servers answer others', async () => {
    const { address } = await dns(({ name }) => (name === 'dead.test' ? 'silent' : 'nxdomain'));
    await expect(lookups([address])('dead.test')).rejects.toMatchObject({ sendErrorCode: 'dns_timeout' });
  });

  test('is ours where they answer nothing', async () => {
    const { address } = await dns(() => 'silent');
    const found = lookups([address], { timeoutMs: 500 })('dead.test');
    await expect(found).rejects.toMatchObject({ name: 'OwnTroubleError', reason: 'name_servers_unavailable' });
  });

  test('is the name’s fault where one of two name servers is away and the other answers others', async () => {
    const { address } = await dns(({ name }) => (name === 'dead.test' ? 'silent' : 'nxdomain'));
    const gone = await startDnsServer(() => 'silent');
    await gone.close();
    const found = lookups([address, gone.address])('dead.test');
    await expect(found).rejects.toMatchObject({ sendErrorCode: 'dns_timeout' });
  });

  test('is ours where nobody listens', async () => {
    const { address, close } = await startDnsServer(() => 'silent');
    await close();
    await expect(lookups([address])('name.test')).rejects.toMatchObject({ reason: 'name_servers_unavailable' });
  });
});

describe('as the system does', () => {
  const HOSTS = `
    127.0.0.1 localhost
    192.0.2.10 printer.office printer  # the one upstairs
    192.0.2.11 Mixed.Case
    2001:db8::10 printer.office
    not-an-address broken.office
    #192.0.2.12 commented.office`;

  test.each([
    ['printer.office', ['192.0.2.10', '2001:db8::10']],
    ['printer.office.', ['192.0.2.10', '2001:db8::10']],
    ['printer', ['192.0.2.10']],
    ['mixed.case', ['192.0.2.11']],
    ['localhost', ['127.0.0.1']],
    ['broken.office', []],
    ['commented.office', []],
  ])('the hosts file comes first: %s', async (name, expected) => {
    const server = await dns(() => 'nxdomain');
    const find = lookups([server.address], { hostsFile: file('hosts', HOSTS) });
    expect((await find(name)).map(({ address }) => address)).toEqual(expected);
    expect(server.questions.length > 0).toBe(expected.length === 0);
  });

  test.each(['localhost', 'localhost.', 'app.localhost', 'LOCALHOST'])(
    '%s is this machine, without being asked for, also where no hosts file says so',
    async (name) => {
      const server = await dns(() => ['192.0.2.66']);
      const find = lookups([server.address], { hostsFile: '/nonexistent' });
      expect((await find(name)).map(({ address }) => address)).toEqual(['127.0.0.1', '::1']);
      expect(server.questions).toEqual([]);
    },
  );

  test('a name that does not exist is looked for in the search domains', async () => {
    const server = await dns(({ name, type }) =>
      name === 'db.team.corp.test' ? (type === 'A' ? ['192.0.2.9'] : []) : 'nxdomain',
    );
    const resolvConf = file('search', 'nameserver 192.0.2.53\nsearch other.test corp.test.\n');
    const find = lookups([server.address], { resolvConf });
    expect(await find('db.team')).toEqual([{ address: '192.0.2.9', family: 4 }]);
    expect(server.questions.filter(({ type }) => type === 'A').map(({ name }) => name)).toEqual([
      'db.team',
      'db.team.other.test',
      'db.team.corp.test',
    ]);
    expect(await find('db.team.')).toEqual([]);
    // One that exists is not.
    expect(server.asked('db.team')).toBe(4);
  });
});
