import type { LookupAddress } from 'node:dns';
import type { AddressPolicy } from './address-policy';
import { EgressError } from './errors';
import type { Lookups, OnBegun } from './lookups';

export type { LookupAddress };

/** Who looks names up. */
export interface NameServers {
  /** All addresses of a host name; none if there is no such name. Rejects with a `code` of `node:dns`. */
  resolve(hostname: string, signal: AbortSignal): Promise<LookupAddress[]>;
  /** Whether any name was answered since then (of `performance.now()`): if none was, a name without an answer proves nothing. */
  answeredSince(sinceMs: number): boolean;
}

/** All addresses of a name, each of which may be connected to. */
export type CheckedResolve = (hostname: string, tenantId: string, onBegun?: OnBegun) => Promise<LookupAddress[]>;

/**
 * A resolver that answers with all addresses of the name, or with an error if the name or ANY of them is refused: a name
 * with one address inside and one outside is an attack or a mistake, and connecting to "the good one" would leave the
 * choice to chance. It rejects with an EgressError or, if the fault is ours, an OwnTroubleError.
 */
export function createCheckedResolve({ policy, lookups }: { policy: AddressPolicy; lookups: Lookups }): CheckedResolve {
  return async (hostname, tenantId, onBegun) => {
    refuse(policy.checkName(hostname));
    const addresses = await lookups.find(hostname, tenantId, onBegun);
    if (addresses.length === 0) throw new EgressError('dns_not_found');
    for (const { address } of addresses) refuse(policy.check(address));
    return addresses;
  };
}

function refuse(denyReason: ReturnType<AddressPolicy['check']>): void {
  if (denyReason !== undefined) throw new EgressError('blocked_address', { denyReason });
}
