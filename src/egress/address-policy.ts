import { BlockList, isIP, isIPv4 } from 'node:net';
import type { OwnAddresses } from './own-addresses';
import { DENIED_IPV4, DENIED_IPV6, type DenyReason, EMBEDDED_IPV4, GLOBAL_UNICAST_IPV6 } from './special-addresses';

export interface AddressPolicy {
  /** Why this literal address (as the resolver or the URL gave it) may not be connected to; undefined when it may. */
  check(address: string): DenyReason | undefined;
  /** Why this host name (as the URL parser gives it) may not even be looked up; undefined when it may. */
  checkName(hostname: string): DenyReason | undefined;
}

export interface AddressPolicySettings {
  /** Blocks the installation opens, for example `127.0.0.0/8` or `::1/128`. */
  allowedCidrs: readonly string[];
  /** Blocks it closes, be they public or allowed. */
  deniedCidrs?: readonly string[];
  /** Addresses that lead to ourselves: refused unless they are in an allowed block. */
  isOwn?: OwnAddresses;
  /** Whether names without a dot may be looked up. */
  singleLabelNames?: 'refused' | 'allowed';
}

/**
 * Decides which addresses a delivery may reach, against server-side request forgery. What the installation denies is
 * refused; what it allows is not; then come this machine's own addresses and the special ones.
 *
 * Of names it knows only that those of one label (`postgres`, `intranet`) are of the network that we are in: search
 * domains, a hosts file and container networks answer for them. `localhost` is judged by its addresses (RFC 6761 6.3).
 * @throws Error when a block is not a CIDR block
 */
export function createAddressPolicy(settings: AddressPolicySettings): AddressPolicy {
  const allowed = listsOf(settings.allowedCidrs);
  const denied = listsOf(settings.deniedCidrs ?? []);
  const { isOwn, singleLabelNames = 'refused' } = settings;
  return {
    check(address) {
      // A zone (`fe80::1%eth0`) is meaningful on link-local addresses only (RFC 4007 11.2), and BlockList ignores it.
      if (isIP(address) === 0 || address.includes('%')) return 'not_an_address';
      const ipv4 = isIPv4(address) ? address : embeddedIPv4(address);
      if (ipv4 === undefined) {
        if (denied.ipv6.check(address, 'ipv6')) return 'denied';
        if (allowed.ipv6.check(address, 'ipv6')) return undefined;
        return isOwn?.(address) ? 'own_address' : denyIPv6(address);
      }
      if (denied.ipv4.check(ipv4, 'ipv4')) return 'denied';
      // A denied IPv6 block means every address that is written in it.
      if (ipv4 !== address && denied.ipv6.check(address, 'ipv6')) return 'denied';
      if (allowed.ipv4.check(ipv4, 'ipv4')) return undefined;
      return isOwn?.(ipv4) ? 'own_address' : denyIPv4(ipv4);
    },
    checkName(hostname) {
      if (singleLabelNames === 'allowed') return undefined;
      const name = hostname.replace(/\.$/, '').toLowerCase();
      return name.includes('.') || name === 'localhost' ? undefined : 'single_label_name';
    },
  };
}

type Compiled = { reason: DenyReason; list: BlockList };

// IPv4 and IPv6 blocks never share a list: Node matches `::ffff:0:0/96` against every IPv4 address.
const ipv4Rules: readonly Compiled[] = DENIED_IPV4.map(({ reason, cidr }) => ({ reason, list: listOf([cidr]) }));
const ipv6Rules: readonly Compiled[] = DENIED_IPV6.map(({ reason, cidr }) => ({ reason, list: listOf([cidr]) }));
const globalUnicast6 = listOf([GLOBAL_UNICAST_IPV6]);
const embedding6 = listOf(EMBEDDED_IPV4);

function denyIPv4(address: string): DenyReason | undefined {
  return ipv4Rules.find((rule) => rule.list.check(address, 'ipv4'))?.reason;
}

function denyIPv6(address: string): DenyReason | undefined {
  if (!globalUnicast6.check(address, 'ipv6')) return 'not_global_unicast';
  return ipv6Rules.find((rule) => rule.list.check(address, 'ipv6'))?.reason;
}

/** The last 32 bits of an IPv4-mapped or NAT64 address in dotted form; undefined for any other IPv6 address. */
function embeddedIPv4(address: string): string | undefined {
  if (!embedding6.check(address, 'ipv6')) return undefined;
  // The URL parser writes every spelling in one way (WHATWG URL, IPv6 serializer): hexadecimal groups, zeros as `::`.
  // Both prefixes have their longest run of zeros before the last two groups, so what `::` hides there is zero.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const groups = canonical.slice(canonical.lastIndexOf('::') + 2).split(':');
  const [high, low] = [groups.at(-2), groups.at(-1)].map((group) => Number.parseInt(group || '0', 16)) as [
    number,
    number,
  ];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** IPv4 and IPv6 blocks apart. */
function listsOf(cidrs: readonly string[]): { ipv4: BlockList; ipv6: BlockList } {
  return {
    ipv4: listOf(cidrs.filter((cidr) => !cidr.includes(':'))),
    ipv6: listOf(cidrs.filter((cidr) => cidr.includes(':'))),
  };
}

function listOf(cidrs: readonly string[]): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const match = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(cidr);
    const network = match?.[1] ?? '';
    const family = isIP(network);
    const prefix = Number(match?.[2]);
    if (family === 0 || prefix > (family === 4 ? 32 : 128)) throw new Error(`Not a CIDR block: ${cidr}`);
    list.addSubnet(network, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
