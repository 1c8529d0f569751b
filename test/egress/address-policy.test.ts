import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { createAddressPolicy } from '../../src/egress/address-policy';
import { createOwnAddresses } from '../../src/egress/own-addresses';
import type { DenyReason } from '../../src/egress/special-addresses';

const policy = createAddressPolicy({ allowedCidrs: [] });

/** First and last address of every block, and its neighbours outside where those are public. */
const IPV4: [string, DenyReason | undefined][] = [
  ['0.0.0.0', 'this_network'],
  ['0.255.255.255', 'this_network'],
  ['1.0.0.0', undefined],
  ['9.255.255.255', undefined],
  ['10.0.0.0', 'private'],
  ['10.255.255.255', 'private'],
  ['11.0.0.0', undefined],
  ['100.63.255.255', undefined],
  ['100.64.0.0', 'shared_address_space'],
  ['100.100.100.200', 'shared_address_space'],
  ['100.127.255.255', 'shared_address_space'],
  ['100.128.0.0', undefined],
  ['126.255.255.255', undefined],
  ['127.0.0.0', 'loopback'],
  ['127.255.255.255', 'loopback'],
  ['128.0.0.0', undefined],
  ['168.63.129.15', undefined],
  ['168.63.129.16', 'cloud_platform'],
  ['168.63.129.17', undefined],
  ['169.253.255.255', undefined],
  ['169.254.0.0', 'link_local'],
  ['169.254.169.254', 'link_local'],
  ['169.254.255.255', 'link_local'],
  ['169.255.0.0', undefined],
  ['172.15.255.255', undefined],
  ['172.16.0.0', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.0', undefined],
  ['191.255.255.255', undefined],
  ['192.0.0.0', 'protocol_assignment'],
  ['192.0.0.255', 'protocol_assignment'],
  ['192.0.1.0', undefined],
  ['192.0.2.0', 'documentation'],
  ['192.0.2.255', 'documentation'],
  ['192.0.3.0', undefined],
  ['192.31.195.255', undefined],
  ['192.31.196.0', 'as112'],
  ['192.31.197.0', undefined],
  ['192.52.192.255', undefined],
  ['192.52.193.255', 'amt'],
  ['192.52.194.0', undefined],
  ['192.88.98.255', undefined],
  ['192.88.99.1', 'relay_6to4'],
  ['192.88.100.0', undefined],
  ['192.167.255.255', undefined],
  ['192.168.0.0', 'private'],
  ['192.168.255.255', 'private'],
  ['192.169.0.0', undefined],
  ['192.175.47.255', undefined],
  ['192.175.48.0', 'as112'],
  ['192.175.49.0', undefined],
  ['198.17.255.255', undefined],
  ['198.18.0.0', 'benchmarking'],
  ['198.19.255.255', 'benchmarking'],
  ['198.20.0.0', undefined],
  ['198.51.99.255', undefined],
  ['198.51.100.0', 'documentation'],
  ['198.51.101.0', undefined],
  ['203.0.112.255', undefined],
  ['203.0.113.255', 'documentation'],
  ['203.0.114.0', undefined],
  ['223.255.255.255', undefined],
  ['224.0.0.0', 'multicast'],
  ['239.255.255.255', 'multicast'],
  ['240.0.0.0', 'reserved'],
  ['255.255.255.254', 'reserved'],
  ['255.255.255.255', 'broadcast'],
];

const IPV6: [string, DenyReason | undefined][] = [
  ['::', 'not_global_unicast'],
  ['::1', 'not_global_unicast'],
  ['::8.8.8.8', 'not_global_unicast'], // IPv4-compatible, RFC 4291 2.5.5.1, deprecated
  ['100::1', 'not_global_unicast'], // discard only, RFC 6666
  ['1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'not_global_unicast'],
  ['2000::', undefined],
  ['2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff', undefined],
  ['2001::', 'protocol_assignment'], // Teredo
  ['2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', 'protocol_assignment'],
  ['2001:200::', undefined],
  ['2001:db7:ffff:ffff:ffff:ffff:ffff:ffff', undefined],
  ['2001:db8::', 'documentation'],
  ['2001:DB8::1', 'documentation'],
  ['2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation'],
  ['2001:db9::', undefined],
  ['2001:4860:4860::8888', undefined],
  ['2002::', 'relay_6to4'],
  ['2002:7f00:1::', 'relay_6to4'],
  ['2003::', undefined],
  ['2620:4f:7fff:ffff:ffff:ffff:ffff:ffff', undefined],
  ['2620:4f:8000::', 'as112'],
  ['2620:4f:8001::', undefined],
  ['2606:4700:4700::1111', undefined],
  ['3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff', undefined],
  ['3fff::', 'documentation'],
  ['3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation'],
  ['3fff:1000::', undefined],
  ['4000::', 'not_global_unicast'],
  ['5f00::1', 'not_global_unicast'], // segment routing, RFC 9602
  ['64:ff9b:1::1', 'not_global_unicast'], // local-use translation, RFC 8215
  ['fc00::1', 'not_global_unicast'],
  ['fd00:ec2::254', 'not_global_unicast'], // AWS metadata
  ['fe80::1', 'not_global_unicast'],
  ['fec0::1', 'not_global_unicast'],
  ['ff02::1', 'not_global_unicast'],
];

const EMBEDDED: [string, DenyReason | undefined][] = [
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['::FFFF:7F00:0001', 'loopback'],
  ['0:0:0:0:0:ffff:169.254.169.254', 'link_local'],
  ['::ffff:0:0', 'this_network'],
  ['::ffff:10.0.0.0', 'private'],
  ['::ffff:0:1', 'this_network'],
  ['::ffff:255.255.255.255', 'broadcast'],
  ['::ffff:8.8.8.8', undefined],
  ['64:ff9b::', 'this_network'],
  ['64:ff9b::1', 'this_network'],
  ['64:ff9b::7f00:1', 'loopback'],
  ['64:ff9b::127.0.0.1', 'loopback'],
  ['64:ff9b::a00:0', 'private'],
  ['64:ff9b:0:0:0:0:a9fe:a9fe', 'link_local'],
  ['64:ff9b::8.8.8.8', undefined],
  ['64:ff9b::1:7f00:1', 'not_global_unicast'], // past the /96
];

const NOT_ADDRESSES: [string, DenyReason][] = [
  '',
  'localhost',
  '1.2.3',
  '127.1',
  '0x7f.0.0.1',
  '::1%lo',
  'fe80::1%eth0',
  '[::1]',
  '1.2.3.4 ',
].map((text) => [text, 'not_an_address']);

test.each([...IPV4, ...IPV6, ...EMBEDDED, ...NOT_ADDRESSES])('%s → %s', (address, reason) => {
  expect(policy.check(address)).toBe(reason);
});

describe('allowed blocks', () => {
  const development = createAddressPolicy({ allowedCidrs: ['127.0.0.0/8', '::1/128'] });

  test('open these and nothing else', () => {
    expect(development.check('127.0.0.1')).toBeUndefined();
    expect(development.check('::1')).toBeUndefined();
    expect(development.check('::ffff:127.0.0.1')).toBeUndefined();
    expect(development.check('10.0.0.1')).toBe('private');
    expect(development.check('::2')).toBe('not_global_unicast');
    expect(development.check('169.254.169.254')).toBe('link_local');
  });

  test('of IPv4 say nothing about IPv6, and the other way round', () => {
    expect(createAddressPolicy({ allowedCidrs: ['0.0.0.0/0'] }).check('::1')).toBe('not_global_unicast');
    expect(createAddressPolicy({ allowedCidrs: ['::/0'] }).check('127.0.0.1')).toBe('loopback');
  });

  test.each(['', '127.0.0.1', '10.0.0.0/33', '::1/129', 'localhost/8', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/'])(
    '%j is not one',
    (cidr) => {
      expect(() => createAddressPolicy({ allowedCidrs: [cidr] })).toThrow('Not a CIDR block');
    },
  );
});

describe('denied blocks', () => {
  const policy = createAddressPolicy({
    allowedCidrs: ['10.0.0.0/8', '127.0.0.0/8', 'fd00::/8'],
    deniedCidrs: ['8.8.8.0/24', '10.1.0.0/16', 'fd00:1::/32', '2606:4700::/32'],
  });

  test.each<[string, DenyReason | undefined]>([
    ['8.8.7.255', undefined],
    ['8.8.8.0', 'denied'],
    ['8.8.8.255', 'denied'],
    ['8.8.9.0', undefined],
    ['10.0.255.255', undefined],
    ['10.1.0.0', 'denied'],
    ['10.1.255.255', 'denied'],
    ['10.2.0.0', undefined],
    ['::ffff:8.8.8.8', 'denied'],
    ['::ffff:808:808', 'denied'],
    ['64:ff9b::8.8.8.8', 'denied'],
    ['64:ff9b::10.1.2.3', 'denied'],
    ['64:ff9b::10.2.2.3', undefined],
    ['fd00:0:ffff:ffff:ffff:ffff:ffff:ffff', undefined],
    ['fd00:1::', 'denied'],
    ['fd00:1:ffff:ffff:ffff:ffff:ffff:ffff', 'denied'],
    ['fd00:2::', undefined],
    ['2606:46ff:ffff:ffff:ffff:ffff:ffff:ffff', undefined],
    ['2606:4700::1', 'denied'],
    ['2606:4701::', undefined],
    ['127.0.0.1', undefined],
    ['192.168.0.1', 'private'],
  ])('win over what is public and what is allowed: %s → %s', (address, reason) => {
    expect(policy.check(address)).toBe(reason);
  });

  test('may be all of one family, in each of its spellings', () => {
    const none = createAddressPolicy({ allowedCidrs: ['0.0.0.0/0', '::/0'], deniedCidrs: ['0.0.0.0/0'] });
    for (const address of ['8.8.8.8', '127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::808:808']) {
      expect(none.check(address)).toBe('denied');
    }
    expect(none.check('2606:4700::1')).toBeUndefined();
    const mapped = createAddressPolicy({ allowedCidrs: [], deniedCidrs: ['::ffff:0:0/96'] });
    expect(mapped.check('::ffff:8.8.8.8')).toBe('denied');
    expect(mapped.check('8.8.8.8')).toBeUndefined();
  });

  test('must be blocks', () => {
    expect(() => createAddressPolicy({ allowedCidrs: [], deniedCidrs: ['8.8.8.8'] })).toThrow('Not a CIDR block');
  });
});

describe('this machine’s own addresses', () => {
  const at = (address: string, family: 'IPv4' | 'IPv6') => ({ address, family }) as NetworkInterfaceInfo;
  let interfaces = { eth0: [at('203.0.114.7', 'IPv4'), at('2606:4700:0:0:0:0:0:77', 'IPv6')] };
  let nowMs = 0;
  const isOwn = createOwnAddresses(
    () => interfaces,
    () => nowMs,
  );

  test.each<[string, DenyReason | undefined]>([
    ['203.0.114.6', undefined],
    ['203.0.114.7', 'own_address'],
    ['203.0.114.8', undefined],
    ['::ffff:203.0.114.7', 'own_address'],
    ['64:ff9b::203.0.114.7', 'own_address'],
    ['2606:4700::76', undefined],
    ['2606:4700::77', 'own_address'],
    ['2606:4700:0:0::77', 'own_address'],
    ['127.0.0.1', 'loopback'],
  ])('%s → %s', (address, reason) => {
    expect(createAddressPolicy({ allowedCidrs: [], isOwn }).check(address)).toBe(reason);
  });

  test('are open where a block that is allowed holds them, and closed where a denied one does', () => {
    const allowedCidrs = ['203.0.114.7/32', '2606:4700::/64'];
    const allowed = createAddressPolicy({ allowedCidrs, isOwn });
    const both = createAddressPolicy({ allowedCidrs, deniedCidrs: allowedCidrs, isOwn });
    for (const address of ['203.0.114.7', '::ffff:203.0.114.7', '2606:4700::77']) {
      expect(allowed.check(address)).toBeUndefined();
      expect(both.check(address)).toBe('denied');
    }
  });

  test('are those of now, give or take 5 s', () => {
    const policy = createAddressPolicy({ allowedCidrs: [], isOwn });
    expect(policy.check('203.0.114.9')).toBeUndefined();
    interfaces = { eth0: [at('203.0.114.9', 'IPv4')] };
    nowMs += 5_001;
    expect(policy.check('203.0.114.9')).toBe('own_address');
    expect(policy.check('203.0.114.7')).toBeUndefined();
  });

  test('are found on this very machine', () => {
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    expect(own.length).toBeGreaterThan(0);
    const policy = createAddressPolicy({ allowedCidrs: [], isOwn: createOwnAddresses() });
    for (const { address } of own) expect(policy.check(address)).toBe('own_address');
  });
});

describe('names', () => {
  test.each<[string, DenyReason | undefined]>([
    ['postgres', 'single_label_name'],
    ['postgres.', 'single_label_name'],
    ['INTRANET', 'single_label_name'],
    ['xn--mnchen-3ya', 'single_label_name'],
    ['kubernetes', 'single_label_name'],
    ['com', 'single_label_name'],
    ['localhost.', undefined],
    ['localhost', undefined],
    ['localhos', 'single_label_name'],
    ['localhost1', 'single_label_name'],
    ['example.com', undefined],
    ['example.com.', undefined],
    ['a.b', undefined],
  ])('%s → %s', (name, reason) => {
    expect(policy.checkName(name)).toBe(reason);
  });

  test('of one label are open where the installation says so', () => {
    const open = createAddressPolicy({ allowedCidrs: [], singleLabelNames: 'allowed' });
    expect(open.checkName('postgres')).toBeUndefined();
  });
});
