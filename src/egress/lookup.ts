import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { promisify } from 'node:util';
import type { AddressPolicy } from './address-policy';
import { EgressError, type SendErrorCode } from './errors';

/** All addresses of a host name, as `dns.lookup(host, { all: true })` gives them. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>;

/** The system's resolver, so that /etc/hosts and search domains count as they do for everything else on the host. */
const systemResolve: Resolve = (hostname) => promisify(lookup)(hostname, { all: true, verbatim: true });

export interface CheckedResolveSettings {
  policy: AddressPolicy;
  timeoutMs: number;
  /** Instead of the system's resolver. */
  resolve?: Resolve;
}

/**
 * A resolver that answers with all addresses of the name, or with an error if ANY of them is refused: a name with one
 * address inside and one outside is an attack or a mistake, and connecting to "the good one" would leave the choice to
 * chance. Nothing is cached. It rejects with an EgressError only.
 */
export function createCheckedResolve(settings: CheckedResolveSettings): Resolve {
  const { policy, timeoutMs, resolve = systemResolve } = settings;
  // getaddrinfo blocks a thread of libuv's small pool and cannot be cancelled: a name that hangs may hold only one.
  const underWay = new Map<string, Promise<LookupAddress[]>>();

  async function resolveShared(hostname: string): Promise<LookupAddress[]> {
    let answer = underWay.get(hostname);
    if (!answer) {
      answer = resolve(hostname).finally(() => underWay.delete(hostname));
      underWay.set(hostname, answer);
    }
    return answer;
  }

  return async (hostname) => {
    const addresses = await within(timeoutMs, resolveShared(hostname)).catch((error) => {
      throw error instanceof EgressError ? error : new EgressError(dnsCode(error), { cause: error });
    });
    if (addresses.length === 0) throw new EgressError('dns_not_found');
    for (const { address } of addresses) {
      const denyReason = policy.check(address);
      if (denyReason !== undefined) throw new EgressError('blocked_address', { denyReason });
    }
    return addresses;
  };
}

/** A lookup for `net.connect`: the addresses that were checked are the ones connected to. */
export function createCheckedLookup(settings: CheckedResolveSettings): LookupFunction {
  const resolveChecked = createCheckedResolve(settings);
  return (hostname, _options, callback) => {
    resolveChecked(hostname).then(
      (addresses) => callback(null, addresses),
      (error) => callback(error, []),
    );
  };
}

function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new EgressError('dns_timeout')), timeoutMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function dnsCode(error: unknown): SendErrorCode {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOTFOUND' || code === 'ENODATA' ? 'dns_not_found' : 'dns_failed';
}
