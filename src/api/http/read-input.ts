import { type ZodError, z } from 'zod';
import { eventTypeProblem } from '../../domain/event-types';
import { parsePublicId } from '../../domain/ids';
import { layersOf, OWN_WORDS, ruleInWords } from '../../in-words';
import { ApiError, type FieldProblem, MAX_ERRORS, noSuchEventType, notFound, shortErrors } from '../errors';
import type { ParamKind, Route } from '../route';

/** The ids of a path as uuids, and names as they are. An id or a name that cannot exist is answered as not found. */
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

/**
 * @throws ApiError validation_failed, naming the fields that break a rule
 */
export function parseInput(schema: Route['body'], value: unknown, where: 'body' | 'query'): unknown {
  if (!schema) {
    const fields = Object.keys(value ?? {}).map((field) => ({ field, rule: UNKNOWN_FIELD }));
    if (fields.length > 0) throw broken(where, fields);
    return undefined;
  }
  const tooMuch = tooManyMembers(schema, value, []);
  if (tooMuch) throw broken(where, tooMuch.fields, tooMuch.omitted);
  const parsed = schema.safeParse(value, OWN_WORDS);
  if (parsed.success) return parsed.data;
  throw broken(where, toFields(parsed.error, schema, value, where));
}

function broken(where: string, fields: FieldProblem[], omitted = 0): ApiError {
  return new ApiError(
    'validation_failed',
    sentence(where, fields, fields.length + omitted),
    fields,
    undefined,
    omitted,
  );
}

/** The first of the broken rules as a sentence, and how many others there are. */
function sentence(where: string, fields: FieldProblem[], count: number): string {
  const { field, rule } = shortErrors(fields, 1).errors[0]!;
  const name = field === where ? `The ${where}` : `\`${field}\``;
  const others = count > 1 ? ` There ${count === 2 ? 'is 1 other error' : `are ${count - 1} other errors`}.` : '';
  return `${name} ${rule}.${others}`;
}

const UNKNOWN_FIELD = 'is not known here';

/** One entry per broken rule; an unknown field is named itself. */
function toFields(error: ZodError, schema: z.ZodType, value: unknown, where: string): FieldProblem[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ field: [...issue.path, key].join('.'), rule: UNKNOWN_FIELD }))
      : [{ field: issue.path.join('.') || where, rule: ruleInWords(issue, schema, value) }],
  );
}

/**
 * The errors of a body with very many unknown members, or with more than a schema's `maxProperties`. Found before the
 * members are parsed, because zod makes an error for each that is wrong. (zod itself refuses lists that are too long so.)
 */
function tooManyMembers(
  schema: z.ZodType,
  value: unknown,
  path: string[],
): { fields: FieldProblem[]; omitted: number } | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const wrapped = layersOf(schema);
  const names = Object.keys(value);
  const max = wrapped.find((layer) => layer.meta()?.maxProperties !== undefined)?.meta()?.maxProperties;
  if (max !== undefined && names.length > Number(max)) {
    return { fields: [{ field: path.join('.'), rule: `must have at most ${max} entries` }], omitted: 0 };
  }
  const object = wrapped.find((layer) => layer instanceof z.ZodObject);
  if (!(object?.def.catchall instanceof z.ZodNever)) return undefined;
  const known = Object.keys(object.shape);
  const unknown = names.length - known.filter((name) => Object.hasOwn(value, name)).length;
  if (unknown > MAX_ERRORS) {
    const fields: FieldProblem[] = [];
    for (const name of names) {
      if (Object.hasOwn(object.shape, name)) continue;
      if (fields.push({ field: [...path, name].join('.'), rule: UNKNOWN_FIELD }) === MAX_ERRORS) break;
    }
    return { fields, omitted: unknown - MAX_ERRORS };
  }
  for (const name of known) {
    const member = (value as Record<string, unknown>)[name];
    const found = tooManyMembers(object.shape[name] as z.ZodType, member, [...path, name]);
    if (found) return found;
  }
  return undefined;
}
