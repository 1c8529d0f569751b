import { z } from 'zod';
import { DELIVERY_MODES } from '../../domain/delivery-mode';
import { EVENT_PATTERN, MAX_EVENT_TYPE_LENGTH, patternProblem } from '../../domain/event-types';
import { DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, MIN_TIMEOUT_MS } from '../../domain/limits';
import { PAYLOAD_MODES } from '../../domain/minimal-payload';
import { parseUrl } from '../../domain/parse-url';
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import { secretProblem } from '../../egress/signatures';
import { shownMember } from '../read-back';
import { defaultsTo, distinctList, durationBetween, eventVersion, pageOf, storableText } from './common';
import { retryPolicy } from './retry-policy';
import {
  changedHeaders,
  circuitBreaker,
  disableAfter,
  filter,
  headers,
  maxInFlight,
  rateLimit,
  signatureStyles,
} from './webhook-policies';

const MAX_PATTERNS = 100;
const MAX_URL_LENGTH = 2_048;

const pattern = z
  .string()
  .superRefine((text, context) => {
    const problem = patternProblem(text);
    if (problem) context.addIssue(problem);
  })
  .meta({ pattern: EVENT_PATTERN.source, maxLength: MAX_EVENT_TYPE_LENGTH + '.*'.length, examples: ['order.*'] });

const url = z
  .string()
  .max(MAX_URL_LENGTH)
  .transform((text, context) => {
    const parsed = parseUrl(text);
    if (parsed) return parsed;
    context.addIssue('must be an absolute URL');
    return z.NEVER;
  })
  .superRefine((parsed, context) => {
    if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') context.addIssue('must begin with https://');
    if (parsed.username || parsed.password) context.addIssue('must not hold a user name or password');
  })
  .meta({ format: 'uri', maxLength: MAX_URL_LENGTH, examples: ['https://example.com/hook'] });

const settings = {
  url,
  events: distinctList(pattern, 1, MAX_PATTERNS),
  description: storableText(0, 500).nullable(),
  active: z.boolean(),
  metadata: z
    .record(storableText(1, 64), storableText(0, 500))
    .refine((record) => Object.keys(record).length <= 50, 'must have at most 50 entries')
    .meta({ maxProperties: 50 }),
  retry_policy: retryPolicy,
  timeout: durationBetween(MIN_TIMEOUT_MS, MAX_TIMEOUT_MS),
  headers,
  signature_styles: signatureStyles,
  rate_limit: rateLimit.nullable(),
  max_in_flight: maxInFlight.nullable(),
  mode: z.enum(DELIVERY_MODES).nullable(),
  ordered: z.boolean(),
  circuit_breaker: circuitBreaker.nullable(),
  disable_after: disableAfter.nullable(),
  payload: z.enum(PAYLOAD_MODES),
  payload_version: eventVersion.nullable(),
  filter: filter.nullable(),
};

const secret = z
  .string()
  .superRefine((text, context) => {
    const problem = secretProblem(text);
    if (problem) context.addIssue(problem);
  })
  .meta({ pattern: '^whsec_[A-Za-z0-9+/]{32,86}={0,2}$', description: '24 to 64 bytes in base64, and no weak ones' });
const DEFAULT_GRACE_MS = 24 * 3_600_000;
const MAX_GRACE_MS = 30 * DEFAULT_GRACE_MS;

export const rotateSecretBody = z
  .strictObject({ secret: secret.optional(), grace: defaultsTo(durationBetween(0, MAX_GRACE_MS), DEFAULT_GRACE_MS) })
  .prefault({});

export const createWebhookBody = z.strictObject({
  ...settings,
  secret: secret.optional(),
  description: settings.description.default(null),
  active: settings.active.default(true),
  metadata: settings.metadata.default({}),
  retry_policy: retryPolicy
    .default({ preset: 'standard' } satisfies StoredRetryPolicy)
    .meta({ default: { preset: 'standard' } }),
  timeout: defaultsTo(settings.timeout, DEFAULT_TIMEOUT_MS),
  headers: headers.default({}),
  signature_styles: signatureStyles.default(['standard', 'x-webhook']).meta({ default: ['standard', 'x-webhook'] }),
  rate_limit: settings.rate_limit.default(null),
  max_in_flight: settings.max_in_flight.default(null),
  mode: settings.mode.default(null),
  ordered: settings.ordered.default(false),
  circuit_breaker: settings.circuit_breaker.prefault({}),
  disable_after: settings.disable_after.prefault({}),
  payload: settings.payload.default('full'),
  payload_version: settings.payload_version.default(null),
  filter: settings.filter.default(null),
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

/** `wait=true`: the answer comes with the result. */
export const verifyQuery = z.strictObject({
  wait: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true'),
});

export const listWebhooksQuery = z.strictObject(pageOf('webhook'));
