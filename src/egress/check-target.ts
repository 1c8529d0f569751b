import { isIP } from 'node:net';
import type { AddressPolicy } from './address-policy';
import { EgressError } from './errors';
import { createCheckedResolve, type Resolve } from './lookup';

/** Why a webhook may not be registered with this http or https URL; undefined when it may, as far as is known today. */
export type TargetCheck = (url: URL) => Promise<'blocked_address' | undefined>;

/** Lookups at once: each holds one of a few threads of the process, longer than its limit where a name server hangs. */
const MAX_LOOKUPS = 2;

/**
 * Tells a tenant early that a URL leads where deliveries may not go. It protects nothing: a name may be at another
 * address by the time of an attempt, whose connector judges again. So a name that cannot be looked up now, or not in
 * time, is accepted; its DNS entry may come after the webhook; and so is one while too many others are looked up.
 * @param settings.resolve instead of the system's resolver
 */
export function createTargetCheck(settings: {
  policy: AddressPolicy;
  dnsTimeoutMs: number;
  resolve?: Resolve;
}): TargetCheck {
  const { policy, dnsTimeoutMs, resolve } = settings;
  let underWay = 0;
  const resolveChecked = createCheckedResolve({ policy, timeoutMs: dnsTimeoutMs, resolve });
  return async ({ hostname }) => {
    // The parser has turned every spelling of an address into one (WHATWG URL, host parsing), an IPv6 one in brackets.
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    if (isIP(host) !== 0) return policy.check(host) === undefined ? undefined : 'blocked_address';
    if (underWay >= MAX_LOOKUPS) return undefined;
    underWay++;
    try {
      await resolveChecked(host);
    } catch (error) {
      if (!(error instanceof EgressError)) throw error;
      if (error.sendErrorCode === 'blocked_address') return 'blocked_address';
    } finally {
      underWay--;
    }
    return undefined;
  };
}
