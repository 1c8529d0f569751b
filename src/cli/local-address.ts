import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { isEveryInterface } from './start-warnings';

/** What a development installation may deliver to whatever else it is told: this machine. */
const LOOPBACK_BLOCKS = ['127.0.0.0/8', '::1/128'];

/**
 * The address under which this machine itself reaches what listens on a host, as `POSTHORN_HOST` names it: of every
 * interface 127.0.0.1, also of `::`, which takes IPv4 as well. Undefined if the name cannot be looked up.
 */
export async function localAddress(host: string): Promise<string | undefined> {
  if (isEveryInterface(host)) return '127.0.0.1';
  if (isIP(host) !== 0) return host;
  return lookup(host).then(
    ({ address }) => address,
    () => undefined,
  );
}

/** The blocks that a development installation may deliver to in addition: loopback, and where it listens itself. */
export function localBlocks(address: string | undefined): string[] {
  // An address with a zone (`fe80::1%eth0`) is in no block.
  if (!address || address.includes('%')) return LOOPBACK_BLOCKS;
  return [...LOOPBACK_BLOCKS, `${address}/${isIP(address) === 6 ? 128 : 32}`];
}

/** A base URL with another host: `http://0.0.0.0:8420` and `127.0.0.1` make `http://127.0.0.1:8420`. */
export function atAddress(url: string, address: string | undefined): string {
  if (!address) return url;
  const { protocol, port } = new URL(url);
  return `${protocol}//${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}
