import type { LookupAddress } from 'node:dns';
import type { AddressPolicy } from './address-policy';
import { EgressError } from './errors';
import type { Lookups, OnBegun } from './lookups';

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
