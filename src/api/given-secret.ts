import { generateSecret, secretWeakness } from '../egress/secrets';
import { ApiError } from './errors';
import type { Services } from './services';

/** Something that was accepted although it should be otherwise. */
export type Warning = { field: string; rule: string };

/**
 * The secret that a request gives, or a new one; `warnings` only if there are any, to be shown in the answer.
 * @throws ApiError validation_failed if the given one is too weak for this installation
 */
export function secretFrom(
  { allowWeakSecrets }: Pick<Services, 'allowWeakSecrets'>,
  given: string | undefined,
): { secret: string; warnings?: Warning[] } {
  if (given === undefined) return { secret: generateSecret() };
  const weakness = secretWeakness(given);
  if (!weakness) return { secret: given };
  const problem = { field: 'secret', rule: weakness };
  if (!allowWeakSecrets) throw new ApiError('validation_failed', 'The secret is refused.', [problem]);
  return { secret: given, warnings: [problem] };
}
