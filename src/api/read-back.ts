import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ApiError, type FieldProblem } from './errors';

/**
 * A body that was read, changed in places and written back whole. It holds members that are only shown, and settings that
 * nobody meant to touch.
 */

type Members = Record<string, unknown>;

/** How a resource is shown: the member that names it, and what else cannot be set. */
export type Shown = {
  /** Its presence tells a body that was read from one that was written. */
  id: string;
  /** Must be sent as they are shown now, each with the rule that is told otherwise. */
  fixed: Record<string, string>;
  /** Reports, which are another a moment later: taken whatever they say. */
  reports: readonly string[];
};

/** A member of a body that is only shown. */
export const shownMember = z
  .unknown()
  .optional()
  .meta({ readOnly: true, description: 'As it was read: taken in a body that is written back.' });

/**
 * The names of the settings in a body that differ from what is shown now: the change that it asks for. All of them where
 * the body was not read: a setting that is named is set then, also to what it was.
 *
 * @param sent the body as received, parsed
 * @throws ApiError validation_failed naming the members that cannot be set
 */
export function changedMembers(sent: Members, shown: unknown, { id, fixed, reports }: Shown): Set<string> {
  const now = JSON.parse(JSON.stringify(shown)) as Members;
  const names = Object.keys(sent);
  const wasRead = id in sent;
  const isShown = (name: string) => name === id || name in fixed || reports.includes(name);
  const problems: FieldProblem[] = names.flatMap((field) => {
    if (!isShown(field)) return [];
    if (!wasRead) return [{ field, rule: `is shown only: leave it out, or send all that was read, with ${id}` }];
    if (reports.includes(field) || isDeepStrictEqual(sent[field], now[field])) return [];
    return [{ field, rule: fixed[field] ?? 'cannot be changed' }];
  });
  if (problems.length > 0) throw new ApiError('validation_failed', 'The body sets what cannot be set.', problems);
  const settings = names.filter((name) => !isShown(name));
  return new Set(wasRead ? settings.filter((name) => !isDeepStrictEqual(sent[name], now[name])) : settings);
}
