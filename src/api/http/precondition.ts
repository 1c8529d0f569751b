import { ApiError } from '../errors';

/**
 * The versions that a change may start from: `If-Match` (RFC 9110 13.1.1) and `version` in the body, each of which has
 * to match if it is given.
 */
export type Precondition = (version: number) => boolean;

const ENTITY_TAG = /^(W\/)?"([\x21\x23-\x7e]*)"$/;
/** More than anyone has reason to send. */
const MAX_TAGS = 20;

/**
 * @throws ApiError validation_failed if the header is not a list of entity tags
 */
export function parsePrecondition(ifMatch: string | undefined, version?: number): Precondition {
  const tags = ifMatch === undefined ? undefined : parseIfMatch(ifMatch);
  return (current) =>
    (tags === undefined || tags === '*' || tags.includes(String(current))) &&
    (version === undefined || version === current);
}

/** @throws ApiError precondition_failed */
export function requireVersion(holds: Precondition, version: number): void {
  if (holds(version)) return;
  throw new ApiError(
    'precondition_failed',
    `The webhook is at version ${version} now. Read it again, and then decide what to change.`,
  );
}

/** The tags that may match: weak ones never do (RFC 9110 8.8.3.2, strong comparison). */
function parseIfMatch(header: string): string[] | '*' {
  if (header.trim() === '*') return '*';
  const tags = header.split(',').map((tag) => ENTITY_TAG.exec(tag.trim()));
  if (tags.length > MAX_TAGS || tags.some((tag) => tag === null)) {
    throw new ApiError('validation_failed', 'The header "If-Match" breaks a rule.', [
      { field: 'If-Match', rule: `must be * or at most ${MAX_TAGS} entity tags such as "3", quotes included` },
    ]);
  }
  return tags.flatMap((tag) => (tag![1] ? [] : [tag![2]!]));
}
