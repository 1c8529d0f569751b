/** Why an address, or a name whatever it is at, may not be reached. A closed set: it is stored, counted and documented by these names. */
export type DenyReason =
  | 'this_network'
  | 'private'
  | 'shared_address_space'
  | 'loopback'
  | 'link_local'
  | 'cloud_platform'
  | 'protocol_assignment'
  | 'documentation'
  | 'benchmarking'
  | 'as112'
  | 'amt'
  | 'relay_6to4'
  | 'multicast'
  | 'reserved'
  | 'broadcast'
  | 'not_global_unicast'
  | 'not_an_address'
  /** In a block that the installation denies. */
  | 'denied'
  /** This machine's own. */
  | 'own_address'
  /** A name without a dot, which means something in the network of this machine only. */
  | 'single_label_name';

export interface DenyRule {
  reason: DenyReason;
  cidr: string;
}

/** The IANA IPv4 Special-Purpose Address Registry (RFC 6890), with multicast and one cloud address added. */
export const DENIED_IPV4: readonly DenyRule[] = [
  { reason: 'this_network', cidr: '0.0.0.0/8' }, // RFC 791, 3.2
  { reason: 'private', cidr: '10.0.0.0/8' }, // RFC 1918
  { reason: 'shared_address_space', cidr: '100.64.0.0/10' }, // RFC 6598; Alibaba's metadata service is in it
  { reason: 'loopback', cidr: '127.0.0.0/8' }, // RFC 1122, 3.2.1.3
  { reason: 'cloud_platform', cidr: '168.63.129.16/32' }, // Azure's wire server: public space, answers inside only
  { reason: 'link_local', cidr: '169.254.0.0/16' }, // RFC 3927; the cloud metadata services
  { reason: 'private', cidr: '172.16.0.0/12' }, // RFC 1918
  { reason: 'protocol_assignment', cidr: '192.0.0.0/24' }, // RFC 6890, 2.1
  { reason: 'documentation', cidr: '192.0.2.0/24' }, // RFC 5737
  { reason: 'as112', cidr: '192.31.196.0/24' }, // RFC 7535
  { reason: 'amt', cidr: '192.52.193.0/24' }, // RFC 7450
  { reason: 'relay_6to4', cidr: '192.88.99.0/24' }, // RFC 7526
  { reason: 'private', cidr: '192.168.0.0/16' }, // RFC 1918
  { reason: 'as112', cidr: '192.175.48.0/24' }, // RFC 7534
  { reason: 'benchmarking', cidr: '198.18.0.0/15' }, // RFC 2544
  { reason: 'documentation', cidr: '198.51.100.0/24' }, // RFC 5737
  { reason: 'documentation', cidr: '203.0.113.0/24' }, // RFC 5737
  { reason: 'multicast', cidr: '224.0.0.0/4' }, // RFC 5771
  { reason: 'broadcast', cidr: '255.255.255.255/32' }, // RFC 919, 7; before 240/4, which holds it
  { reason: 'reserved', cidr: '240.0.0.0/4' }, // RFC 1112, 4
];

/** RFC 4291 2.4: the only block from which global unicast addresses are given out (IANA IPv6 address space). */
export const GLOBAL_UNICAST_IPV6 = '2000::/3';

/** What the IANA IPv6 Special-Purpose Address Registry takes out of 2000::/3. */
export const DENIED_IPV6: readonly DenyRule[] = [
  { reason: 'protocol_assignment', cidr: '2001::/23' }, // RFC 2928: Teredo, ORCHID, benchmarking, AMT
  { reason: 'documentation', cidr: '2001:db8::/32' }, // RFC 3849
  { reason: 'relay_6to4', cidr: '2002::/16' }, // RFC 3056; carries any IPv4 address
  { reason: 'as112', cidr: '2620:4f:8000::/48' }, // RFC 7534
  { reason: 'documentation', cidr: '3fff::/20' }, // RFC 9637
];

/** IPv6 forms of an IPv4 address, to be judged by that address. */
export const EMBEDDED_IPV4: readonly string[] = [
  '::ffff:0:0/96', // RFC 4291 2.5.5.2, IPv4-mapped: the kernel connects over IPv4
  '64:ff9b::/96', // RFC 6052 2.1, NAT64's well-known prefix
];
