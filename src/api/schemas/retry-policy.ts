import { z } from 'zod';
import { MAX_DURATION_MS, MAX_WAIT_MS, MAX_WAITS, RETRY_PRESETS, type RetryPreset } from '../../domain/retry-schedule';
import { defaultsTo, durationBetween } from './common';

const MIN_DURATION_MS = 1_000;
const MAX_FACTOR = 10;
const presets = Object.keys(RETRY_PRESETS) as [RetryPreset, ...RetryPreset[]];

/** What every policy may have in addition to its waits. */
const common = {
  jitter: z.number().min(0).max(1).optional(),
  max_duration: durationBetween(MIN_DURATION_MS, MAX_DURATION_MS).optional(),
  client_errors: z.enum(['retry', 'fail']).optional(),
};

/** Parsed to what is stored: durations in milliseconds. */
export const retryPolicy = z
  .union(
    [
      z.strictObject({ preset: z.enum(presets), ...common }),
      z
        .strictObject({ schedule: z.array(durationBetween(0, MAX_WAIT_MS)).max(MAX_WAITS), ...common })
        .transform(({ schedule, ...rest }) => ({ schedule_ms: schedule, ...rest })),
      z
        .strictObject({
          initial: durationBetween(0, MAX_WAIT_MS),
          factor: z.number().min(1).max(MAX_FACTOR).default(2),
          max_interval: defaultsTo(durationBetween(0, MAX_WAIT_MS), MAX_WAIT_MS),
          max_attempts: z
            .number()
            .int()
            .min(1)
            .max(MAX_WAITS + 1),
          ...common,
        })
        .transform(({ initial, max_interval, ...rest }) => ({
          initial_ms: initial,
          max_interval_ms: max_interval,
          ...rest,
        })),
    ],
    {
      error: `must be {"preset": one of ${presets.join(', ')}}, {"schedule": up to ${MAX_WAITS} durations of at most 7d} or {"initial", "factor" (1 to ${MAX_FACTOR}), "max_interval", "max_attempts" (1 to ${MAX_WAITS + 1})}, each with an optional "jitter" from 0 to 1, "max_duration" from 1s to 30d and "client_errors": retry or fail`,
    },
  )
  .transform(({ max_duration, ...rest }) => ({
    ...rest,
    ...(max_duration !== undefined && { max_duration_ms: max_duration }),
  }))
  .meta({ id: 'RetryPolicy' });
