import { z } from 'zod';
import { patternProblem } from '../../domain/event-types';
import { DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, MIN_TIMEOUT_MS } from '../../domain/limits';
import {
  MAX_WAIT_MS,
  MAX_WAITS,
  RETRY_PRESETS,
  type RetryPreset,
  type StoredRetryPolicy,
} from '../../domain/retry-schedule';
import { isValidSecret } from '../../egress/signatures';
import { durationBetween, pageOf, storableText } from './common';

const MAX_PATTERNS = 100;
const MAX_URL_LENGTH = 2_048;

const pattern = z.string().superRefine((text, context) => {
  const problem = patternProblem(text);
  if (problem) context.addIssue(problem);
});

const url = z
  .string()
  .max(MAX_URL_LENGTH)
  .transform((text, context) => {
    if (URL.canParse(text)) return new URL(text);
    context.addIssue('must be an absolute URL');
    return z.NEVER;
  })
  .superRefine((parsed, context) => {
    if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') context.addIssue('must begin with https://');
    if (parsed.username || parsed.password) context.addIssue('must not hold a user name or password');
  });

const jitter = z.number().min(0).max(1).optional();
const presets = Object.keys(RETRY_PRESETS) as [RetryPreset, ...RetryPreset[]];

const retryPolicy = z.union(
  [
    z.strictObject({ preset: z.enum(presets), jitter }),
    z
      .strictObject({ schedule: z.array(durationBetween(0, MAX_WAIT_MS)).max(MAX_WAITS), jitter })
      .transform(({ schedule, ...rest }) => ({ schedule_ms: schedule, ...rest })),
  ],
  {
    error: `must be {"preset": one of ${presets.join(', ')}} or {"schedule": up to ${MAX_WAITS} durations of at most 7d}, each with an optional "jitter" from 0 to 1`,
  },
);

const settings = {
  url,
  events: z
    .array(pattern)
    .min(1)
    .max(MAX_PATTERNS)
    .transform((patterns) => [...new Set(patterns)]),
  description: storableText(0, 500).nullable(),
  active: z.boolean(),
  metadata: z
    .record(storableText(1, 64), storableText(0, 500))
    .refine((record) => Object.keys(record).length <= 50, 'must have at most 50 entries'),
  retry_policy: retryPolicy,
  timeout: durationBetween(MIN_TIMEOUT_MS, MAX_TIMEOUT_MS),
};

export const createWebhookBody = z.strictObject({
  ...settings,
  secret: z.string().refine(isValidSecret, 'must be whsec_ and 24 to 64 bytes in base64').optional(),
  description: settings.description.default(null),
  active: settings.active.default(true),
  metadata: settings.metadata.default({}),
  retry_policy: retryPolicy.default({ preset: 'standard' } satisfies StoredRetryPolicy),
  timeout: settings.timeout.default(DEFAULT_TIMEOUT_MS),
});

export const patchWebhookBody = z
  .strictObject(settings)
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'must change something');

export const listWebhooksQuery = z.strictObject(pageOf('webhook'));
