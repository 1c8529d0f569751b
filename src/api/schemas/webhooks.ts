import { z } from 'zod';
import { BODY_FORMATS } from '../../domain/body-format';
import { DELIVERY_MODES } from '../../domain/delivery-mode';
import { EVENT_PATTERN, MAX_EVENT_TYPE_LENGTH, patternProblem } from '../../domain/event-types';
import { DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, MIN_TIMEOUT_MS } from '../../domain/limits';
import { PAYLOAD_MODES } from '../../domain/minimal-payload';
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import { MAX_URL_LENGTH, readWebhookUrl } from '../../domain/webhook-url';
import { secretProblem } from '../../egress/secrets';
import { named } from '../../in-words';
import { shownMember } from '../read-back';
import {
  defaultsTo,
  distinctList,
  durationBetween,
  eventType,
  eventVersion,
  pageOf,
  recordOf,
  storableText,
  timestamp,
} from './common';
import { envelope } from './envelope';
import { eventData } from './events';
import { retryPolicy } from './retry-policy';
import { signature } from './signature';
import {
  changedHeaders,
  circuitBreaker,
  DEFAULT_STYLES,
  disableAfter,
  filter,
  headers,
  maxInFlight,
  rateLimit,
  signatureStyles,
} from './webhook-policies';

const MAX_PATTERNS = 100;

const pattern = named(
  z
    .string()
    .superRefine((text, context) => {
      const problem = patternProblem(text);
      if (problem) context.addIssue(problem);
    })
    .meta({ pattern: EVENT_PATTERN.source, maxLength: MAX_EVENT_TYPE_LENGTH + '.*'.length, examples: ['order.*'] }),
  'a pattern such as order.*',
  'patterns such as order.*',
);

const url = z
  .string()
  .max(MAX_URL_LENGTH)
  .transform((text, context) => {
    const read = readWebhookUrl(text);
    if ('url' in read) return read.url;
    context.addIssue(read.problem);
    return z.NEVER;
  })
  .superRefine((parsed, context) => {
    if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') context.addIssue('must begin with https://');
    if (parsed.username || parsed.password) context.addIssue('must not hold a user name or password');
    if (parsed.href.length > MAX_URL_LENGTH) {
      context.addIssue(`must have at most ${MAX_URL_LENGTH} characters once it is normalised, as it is stored`);
    }
  })
  .meta({ format: 'uri', maxLength: MAX_URL_LENGTH, examples: ['https://example.com/hook'] });
const urlExpected = `an absolute URL of at most ${MAX_URL_LENGTH} characters such as https://example.com/hook`;
named(url, urlExpected, urlExpected);

const settings = {
  url,
  events: distinctList(pattern, 1, MAX_PATTERNS),
  description: storableText(0, 500).nullable(),
  active: z.boolean(),
  metadata: recordOf(storableText(1, 64), storableText(0, 500))
    .refine((record) => Object.keys(record).length <= 50, 'must have at most 50 entries')
    .meta({ maxProperties: 50 }),
  retry_policy: retryPolicy,
  timeout: durationBetween(MIN_TIMEOUT_MS, MAX_TIMEOUT_MS),
  headers,
  signature_styles: signatureStyles,
  signature: signature.nullable(),
  rate_limit: rateLimit.nullable(),
  max_in_flight: maxInFlight.nullable(),
  mode: z.enum(DELIVERY_MODES).nullable(),
  ordered: z.boolean(),
  circuit_breaker: circuitBreaker.nullable(),
  disable_after: disableAfter.nullable(),
  payload: z.enum(PAYLOAD_MODES),
  payload_version: eventVersion.nullable(),
  filter: filter.nullable(),
  body_format: z.enum(BODY_FORMATS),
  envelope,
};

export const secret = z
  .string()
  .superRefine((text, context) => {
    const problem = secretProblem(text);
    if (problem) context.addIssue(problem);
  })
  .meta({
    minLength: 1,
    maxLength: 256,
    description: 'A text of 16 to 256 printable characters that is hard to guess',
  });
named(secret, 'a secret: a text of 16 to 256 printable characters', 'secrets');
const DEFAULT_GRACE_MS = 24 * 3_600_000;
const MAX_GRACE_MS = 30 * DEFAULT_GRACE_MS;

export const rotateSecretBody = z
  .strictObject({
    secret: secret.optional(),
    grace: defaultsTo(durationBetween(0, MAX_GRACE_MS), DEFAULT_GRACE_MS),
    switch_at: timestamp.nullable().default(null),
  })
  .prefault({});

export const createWebhookBody = z.strictObject({
  ...settings,
  secret: secret.optional(),
  description: settings.description.default(null),
  active: settings.active.default(true),
  metadata: settings.metadata.default({}).meta({ default: {} }),
  retry_policy: retryPolicy
    .default({ preset: 'standard' } satisfies StoredRetryPolicy)
    .meta({ default: { preset: 'standard' } }),
  timeout: defaultsTo(settings.timeout, DEFAULT_TIMEOUT_MS),
  headers: headers.default({}).meta({ default: {} }),
  signature_styles: signatureStyles.default(DEFAULT_STYLES).meta({ default: DEFAULT_STYLES }),
  signature: settings.signature.default(null),
  rate_limit: settings.rate_limit.default(null),
  max_in_flight: settings.max_in_flight.default(null),
  mode: settings.mode.default(null),
  ordered: settings.ordered.default(false),
  circuit_breaker: settings.circuit_breaker.prefault({}),
  disable_after: settings.disable_after.prefault({}),
  payload: settings.payload.default('full'),
  payload_version: settings.payload_version.default(null),
  filter: settings.filter.default(null),
  body_format: settings.body_format.default('exact'),
  envelope: envelope.default('standard').meta({ default: 'standard' }),
});

/** What a webhook shows that no change sets. */
export const SHOWN_OF_WEBHOOK = {
  id: 'id',
  fixed: {
    created_at: 'cannot be changed',
    status: 'must be as it is now: POST …/pause, …/resume, …/disable or …/enable changes it',
  },
  reports: ['status_reason', 'status_since', 'health', 'verification', 'updated_at'],
} as const;

export const patchWebhookBody = z
  .strictObject({ ...settings, headers: changedHeaders, version: z.number().int() })
  .partial()
  .extend({
    id: shownMember,
    created_at: shownMember,
    status: shownMember,
    status_reason: shownMember,
    status_since: shownMember,
    health: shownMember,
    verification: shownMember,
    updated_at: shownMember,
  })
  .refine(({ version: _, ...change }) => Object.keys(change).length > 0, 'must change something')
  .meta({ minProperties: 1 });

/** What to send as a test: an event of this type (`posthorn.test`) with this data (an example of the type). */
export const testBody = z.strictObject({ event_type: eventType.optional(), data: eventData.optional() }).optional();

export const listTestsQuery = z.strictObject(pageOf('attempt'));

/** `wait=true`: the answer comes with the result. */
export const waitQuery = z.strictObject({
  wait: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true'),
});

export const listWebhooksQuery = z.strictObject(pageOf('webhook'));
