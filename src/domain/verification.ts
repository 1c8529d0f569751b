/**
 * Endpoint verification: an endpoint proves that it wants deliveries, so that nobody can aim them at someone else.
 *
 * Modes of a tenant: `off` = only when it is asked for; `optional` = every new URL is challenged and the result shown;
 * `required` = and until it has answered, it gets nothing else.
 */
export const VERIFICATION_MODES = ['required', 'optional', 'off'] as const;
export type VerificationMode = (typeof VERIFICATION_MODES)[number];

/** The mode in force: what the tenant set, or the installation's minimum if that is more. */
export function modeInForce(tenant: VerificationMode, minimum: VerificationMode): VerificationMode {
  // The strictest is the first.
  return VERIFICATION_MODES.indexOf(tenant) <= VERIFICATION_MODES.indexOf(minimum) ? tenant : minimum;
}

/**
 * The ways, in the order they are tried:
 * - `post`: POST `{"type":"url_verification","challenge":…}`, answered with the challenge
 * - `get`: GET `?challenge=…`, answered with the challenge
 * - `options`: OPTIONS as in CloudEvents' Web Hooks 1.0, section 4
 */
export const VERIFICATION_METHODS = ['post', 'get', 'options'] as const;
export type VerificationMethod = (typeof VERIFICATION_METHODS)[number];

/** `failed`: asked, and not proven since the URL was set. A webhook that was verified stays so until its URL changes. */
export type VerificationStatus = 'unverified' | 'pending' | 'verified' | 'failed';

/** A round that has not ended after this long was lost; another may be asked for. */
export const VERIFICATION_LIMIT_MS = 60_000;

export function verificationStatus(known: {
  pending: boolean;
  verifiedAt: Date | null;
  lastError: string | null;
}): VerificationStatus {
  if (known.pending) return 'pending';
  if (known.verifiedAt) return 'verified';
  return known.lastError ? 'failed' : 'unverified';
}
