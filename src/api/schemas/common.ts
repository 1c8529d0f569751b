import { z } from 'zod';
import { DURATION, formatDuration, parseDurationMs } from '../../domain/durations';
import { EVENT_TYPE, eventTypeProblem, MAX_EVENT_TYPE_LENGTH } from '../../domain/event-types';
import { ID_PREFIXES, type IdKind, idPattern, parsePublicId } from '../../domain/ids';
import { parseTime } from '../../domain/rfc3339';
import { MAX_NAME_LENGTH, nameProblem } from '../../domain/shown-names';
import { named } from '../../in-words';

/** Pieces that several schemas share. What a check in code means for the OpenAPI document stands in its `meta`. */

/** A public id of this kind; comes out as the uuid. */
export const idOf = (kind: IdKind) =>
  named(
    z
      .string()
      .transform((text, context) => {
        const uuid = parsePublicId(kind, text);
        if (uuid) return uuid;
        context.addIssue(`must be an id that begins with ${ID_PREFIXES[kind]}_`);
        return z.NEVER;
      })
      .meta({ pattern: idPattern(kind), examples: [`${ID_PREFIXES[kind]}_01m84me0xme4gbxcg2xavanzsf`] }),
    `an id that begins with ${ID_PREFIXES[kind]}_`,
    `ids that begin with ${ID_PREFIXES[kind]}_`,
  );

/** Text that Postgres can hold: no NUL, and no half of a surrogate pair. Its length is counted in characters, as stored. */
export const storableText = (minLength: number, maxLength: number) =>
  z
    .string()
    .superRefine((text, context) => {
      const problem = lengthProblem(text, minLength, maxLength);
      if (problem) context.addIssue(problem);
    })
    .regex(/^[^\0\p{Surrogate}]*$/u, 'must be text without NUL or broken Unicode')
    // Not every reader of the document knows \p.
    .meta({ pattern: '^[^\\u0000]*$', ...(minLength > 0 && { minLength }), maxLength });

function lengthProblem(text: string, minLength: number, maxLength: number): string | undefined {
  // A character has at most two units of UTF-16: most texts need not be counted.
  const isLong = text.length > maxLength && (text.length > 2 * maxLength || [...text].length > maxLength);
  if (!isLong && text.length >= minLength) return undefined;
  return minLength > 0
    ? `must have ${minLength} to ${maxLength} characters`
    : `must have at most ${maxLength} characters`;
}

/** A list in which each value counts once, however often it is given: `min` and `max` bound what is stored. */
export const distinctList = <Item extends z.ZodType>(item: Item, min: number, max: number) =>
  z.preprocess(
    (value) => (Array.isArray(value) ? [...new Set<unknown>(value)] : value),
    z.array(item).min(min).max(max),
  );

/**
 * An object whose names are a person's own. Every name is kept but `__proto__`, which zod leaves out without a word, and so
 * is refused here.
 */
export const recordOf = <Name extends z.ZodString, Value extends z.ZodType>(name: Name, value: Value) =>
  z.preprocess(
    (given, context) => {
      if (typeof given === 'object' && given !== null && Object.hasOwn(given, '__proto__')) {
        context.addIssue({ code: 'custom', message: 'must not have an entry named __proto__' });
      }
      return given;
    },
    z.record(name, value),
  );

/** The name of a tenant or key, which people read in lists and on terminals. */
export const shownName = z
  .string()
  .min(1)
  .max(MAX_NAME_LENGTH)
  .superRefine((text, context) => {
    const problem = nameProblem(text);
    if (problem) context.addIssue(problem);
  })
  // Not every reader of the document knows \p: this is the part of the rule that every one does.
  .meta({ pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' });

/** A duration such as "30s" within bounds; comes out as milliseconds. */
export const durationBetween = (minMs: number, maxMs: number) => {
  const span = `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as "30s"`;
  const schema = z
    .string()
    .transform((text, context) => {
      const ms = parseDurationMs(text);
      if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
      context.addIssue(`must be a duration ${span}`);
      return z.NEVER;
    })
    .meta({
      pattern: DURATION.source,
      description: `A duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`,
      examples: [formatDuration(Math.min(maxMs, Math.max(minMs, 30_000)))],
    });
  return named(schema, `a duration ${span}`, `durations ${span}`);
};

/** A duration that may be left out; the document shows its default as a text, as callers would write it. */
export const defaultsTo = <S extends z.ZodType<number | null>>(schema: S, defaultMs: number) =>
  schema.default(defaultMs as z.core.util.NoUndefined<z.output<S>>).meta({ default: formatDuration(defaultMs) });

const NOT_A_TIME = 'must be an RFC 3339 time such as 2026-01-31T12:00:00Z';
const AS_TIME = { format: 'date-time', examples: ['2026-11-23T00:00:00Z'] };

function toTime(text: string, context: z.core.$RefinementCtx): Date {
  const ms = parseTime(text);
  if (ms !== undefined) return new Date(ms);
  context.addIssue(NOT_A_TIME);
  return z.NEVER;
}

/** An RFC 3339 time in a body; comes out as a Date. */
export const timestamp = z.string(NOT_A_TIME).transform(toTime).meta(AS_TIME);

/** The same in a query, where a `+` that is not encoded arrives as a space. */
export const queryTimestamp = z
  .string(NOT_A_TIME)
  .transform((text, context) => toTime(text.replace(/ (?=\d\d:\d\d$)/, '+'), context))
  .meta(AS_TIME);

export const eventType = named(
  z
    .string()
    .superRefine((text, context) => {
      const problem = eventTypeProblem(text);
      if (problem) context.addIssue(problem);
    })
    .meta({ pattern: EVENT_TYPE.source, maxLength: MAX_EVENT_TYPE_LENGTH, examples: ['order.created'] }),
  'an event type such as order.created',
  'event types such as order.created',
);

export const eventVersion = named(
  z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'must be 1-32 letters, digits, dots, dashes or underscores')
    .meta({ examples: ['1.0'] }),
  'a version such as 1.0',
  'versions such as 1.0',
);

/** A member under its former name: accepted for callers that still use it, and shown as deprecated. */
export const formerName = <S extends z.ZodType>(schema: S, now: string) =>
  schema.optional().meta({ deprecated: true, description: `The former name of \`${now}\`` });

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;

export const pageLimit = z.coerce.number().int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT);

/** `limit` and `cursor` of every list; a cursor is the id of the last item of the previous page. */
export const pageOf = (kind: IdKind) => ({
  limit: pageLimit,
  cursor: idOf(kind).optional(),
});

const DEFAULT_WINDOW_MS = 7 * 24 * 3_600_000;

/** The time window of a list: by default the last seven days. */
export const timeWindow = { since: queryTimestamp.optional(), until: queryTimestamp.optional() };

/** The bounds of a window; ids made within the current millisecond are inside. */
export function windowBounds({ since, until }: { since?: Date; until?: Date }): { since: Date; until: Date } {
  const end = until ?? new Date(Date.now() + 60_000);
  return { since: since ?? new Date(end.getTime() - DEFAULT_WINDOW_MS), until: end };
}
