import { type AddressPolicy, createAddressPolicy } from './address-policy';
import { createOwnAddresses } from './own-addresses';

/** The settings that the address policy of an installation goes by. */
type PolicySettings = {
  POSTHORN_ALLOWED_CIDRS: readonly string[];
  POSTHORN_DENIED_CIDRS: readonly string[];
  POSTHORN_ALLOW_SINGLE_LABEL_NAMES: boolean;
};

/** The policy of every party that connects, or says what may be connected to: the same for all of them. */
export function addressPolicyOf(config: PolicySettings): AddressPolicy {
  return createAddressPolicy({
    allowedCidrs: config.POSTHORN_ALLOWED_CIDRS,
    deniedCidrs: config.POSTHORN_DENIED_CIDRS,
    isOwn: createOwnAddresses(),
    singleLabelNames: config.POSTHORN_ALLOW_SINGLE_LABEL_NAMES ? 'allowed' : 'refused',
  });
}
