import { z } from 'zod';
import { DURATION } from '../../domain/durations';
import { type Filter, filterProblem } from '../../domain/filter';
import { foldHeaderName } from '../../domain/header-name';
import { parseRateLimit, RATE, RATE_LIMIT_RULE } from '../../domain/rate-limit';
import { SIGNATURE_STYLES, type SignatureStyle } from '../../domain/signature-styles';
import { customHeaderProblem, FIELD_VALUE, TOKEN } from '../../egress/custom-headers';
import { defaultsTo, durationBetween, recordOf } from './common';

/** A webhook's delivery settings: all but its URL and events. */

const MAX_HEADERS = 20;
const MAX_CAP = 1_000;
const DAY_MS = 86_400_000;

/** Shown in place of a header's value. */
export const REDACTED_VALUE = '[redacted]';

export const placeholderProblem = (name: string) => `the value of "${name}" is a placeholder`;

/** Own headers of the deliveries; names that differ in case only are the same header (RFC 9110 5.1), and to many receivers those that differ in `_` and `-`. */
const headersWith = (placeholders: 'kept' | 'refused') =>
  recordOf(z.string(), z.string())
    .superRefine((given, context) => {
      const seen = new Set<string>();
      for (const [name, value] of Object.entries(given)) {
        const problem =
          placeholders === 'refused' && value === REDACTED_VALUE
            ? placeholderProblem(name)
            : customHeaderProblem(name, value);
        if (problem) context.addIssue(problem);
        else if (seen.has(foldHeaderName(name))) context.addIssue(`the header "${name}" is given twice`);
        seen.add(foldHeaderName(name));
      }
    })
    .refine((given) => Object.keys(given).length <= MAX_HEADERS, `must have at most ${MAX_HEADERS} headers`)
    .meta({
      maxProperties: MAX_HEADERS,
      propertyNames: { pattern: TOKEN.source },
      additionalProperties: { type: 'string', pattern: FIELD_VALUE.source },
    });

export const headers = headersWith('refused');
/** Of a webhook that has some: a placeholder stands for the value that is stored under that name. */
export const changedHeaders = headersWith('kept');

/** The two patterns as one. */
const RATE_PATTERN = RATE.source.replace('(.+)$', DURATION.source.slice(1));

/** The webhook gets only events that pass it; stored as received. */
export const filter = z.custom<Filter>().superRefine((given, context) => {
  const problem = filterProblem(given);
  if (problem) context.addIssue({ code: 'custom', path: problem.path, message: problem.rule });
});

/** What a webhook has that names no styles. */
export const DEFAULT_STYLES: SignatureStyle[] = ['standard', 'x-webhook'];

/** Every delivery has `standard`, also if the list does not. */
export const signatureStyles = z
  .array(z.enum(SIGNATURE_STYLES))
  .max(SIGNATURE_STYLES.length)
  .transform((asked) => SIGNATURE_STYLES.filter((style) => style === 'standard' || asked.includes(style)));

export const rateLimit = z
  .string()
  .refine((text) => parseRateLimit(text) !== undefined, RATE_LIMIT_RULE)
  .meta({ pattern: RATE_PATTERN, description: 'A count and the time that it is for', examples: ['100/1m'] });

export const maxInFlight = z.number().int().min(1).max(MAX_CAP);

/** Opens for `open_for` after `failures` failed attempts in a row within `window`. */
export const circuitBreaker = z
  .strictObject({
    failures: z.number().int().min(1).max(1_000).default(10),
    window: defaultsTo(durationBetween(1_000, DAY_MS), 60_000),
    open_for: defaultsTo(durationBetween(1_000, DAY_MS), 30_000),
  })
  .transform(({ failures, window, open_for }) => ({ failures, windowMs: window, openMs: open_for }));

/** What disables a webhook, in addition to a 410; null: not for that reason. */
export const disableAfter = z
  .strictObject({
    failed_deliveries: z.number().int().min(1).max(100_000).nullable().default(10),
    failing_for: defaultsTo(durationBetween(60_000, 30 * DAY_MS).nullable(), 5 * DAY_MS),
  })
  .transform((given) => ({ failedDeliveries: given.failed_deliveries, failingForMs: given.failing_for }));
