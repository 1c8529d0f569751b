import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

/** How long the list counts: asking for it takes some tens of microseconds, and addresses seldom come and go. */
const FRESH_MS = 5_000;

/** Whether an address is one of this machine's. */
export type OwnAddresses = (address: string) => boolean;

/** What the machine's interfaces have at the moment, give or take 5 s; not what a gateway translates to them. */
export function createOwnAddresses(read = networkInterfaces, nowMs = () => performance.now()): OwnAddresses {
  let known: { list: BlockList; readAtMs: number } | undefined;
  return (address) => {
    const now = nowMs();
    if (!known || now - known.readAtMs > FRESH_MS) known = { list: listOf(read()), readAtMs: now };
    return known.list.check(address, familyOf(address));
  };
}

function listOf(interfaces: ReturnType<typeof networkInterfaces>): BlockList {
  const list = new BlockList();
  for (const addresses of Object.values(interfaces)) {
    for (const { address } of addresses ?? []) list.addAddress(address, familyOf(address));
  }
  return list;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
