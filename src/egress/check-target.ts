import { isIP } from 'node:net';
import { OwnTroubleError } from '../domain/own-trouble';
import type { AddressPolicy } from './address-policy';
import { EgressError } from './errors';
import { createCheckedResolve } from './lookup';
import { createLookups } from './lookups';
import { createNameServers } from './name-servers';
import type { NameServers } from './types';

/** Why a tenant may not register this http or https URL; undefined when it may, as far as is known today. */
export type TargetCheck = (url: URL, tenantId: string) => Promise<'blocked_address' | undefined>;

/**
 * Early notice to a tenant that a URL leads to an address that deliveries may not reach. It protects nothing: a name may be at another
 * address by the time of an attempt, whose connector judges again. So a name that cannot be looked up now, or not in
 * time, is accepted; its DNS entry may come after the webhook; and so is one whose lookup waited too long to begin.
 * @param settings.dnsServers name servers to ask instead of the system's
 * @param settings.nameServers instead of name servers
 */
export function createTargetCheck(settings: {
  policy: AddressPolicy;
  dnsTimeoutMs: number;
  dnsServers?: readonly string[];
  nameServers?: NameServers;
}): TargetCheck {
  const { policy, dnsTimeoutMs: timeoutMs, dnsServers: servers } = settings;
  const nameServers = settings.nameServers ?? createNameServers({ timeoutMs, servers });
  const resolve = createCheckedResolve({ policy, lookups: createLookups({ nameServers, timeoutMs }) });
  return async ({ hostname }, tenantId) => {
    // The parser has turned every spelling of an address into one (WHATWG URL, host parsing), an IPv6 one in brackets.
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    if (isIP(host) !== 0) return policy.check(host) === undefined ? undefined : 'blocked_address';
    try {
      await resolve(host, tenantId);
    } catch (error) {
      if (error instanceof OwnTroubleError) return undefined;
      if (!(error instanceof EgressError)) throw error;
      if (error.sendErrorCode === 'blocked_address') return 'blocked_address';
    }
    return undefined;
  };
}
