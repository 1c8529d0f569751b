import type { ZodError } from 'zod';
import { eventTypeProblem } from '../domain/event-types';
import { parsePublicId } from '../domain/ids';
import { ApiError, type FieldProblem, noSuchEventType, notFound } from './errors';
import type { ParamKind, Route } from './route';

/** The ids of a path as uuids, and names where they can be some. One that cannot exist is answered like one that does not. */
export function parseIds(row: Route, params: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row.ids ?? {}).map(([name, kind]) => {
      const value = parseParam(kind, params[name] ?? '');
      if (value === undefined) throw kind === 'eventTypeName' ? noSuchEventType() : notFound(kind);
      return [name, value];
    }),
  );
}

function parseParam(kind: ParamKind, text: string): string | undefined {
  if (kind === 'eventTypeName') return eventTypeProblem(text) ? undefined : text;
  return parsePublicId(kind, text);
}

/** @throws ApiError validation_failed, naming every field that breaks a rule */
export function parseInput(schema: Route['body'], value: unknown, where: 'body' | 'query'): unknown {
  if (!schema) {
    const fields = Object.keys(value ?? {}).map((field) => ({ field, rule: UNKNOWN_FIELD }));
    if (fields.length > 0) throw new ApiError('validation_failed', `The ${where} breaks a rule.`, fields);
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ApiError('validation_failed', `The ${where} breaks a rule.`, toFields(parsed.error, where));
}

const UNKNOWN_FIELD = 'is not known here';

/** One line per broken rule; a field that is not known is named itself. */
function toFields(error: ZodError, where: string): FieldProblem[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ field: [...issue.path, key].join('.'), rule: UNKNOWN_FIELD }))
      : [{ field: issue.path.join('.') || where, rule: issue.message }],
  );
}
