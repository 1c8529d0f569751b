import { z } from 'zod';
import { BODY_FORMATS } from '../../../domain/body-format';
import { DISABLED_BECAUSE, WEBHOOK_STATUSES } from '../../../domain/delivery';
import { DELIVERY_MODES } from '../../../domain/delivery-mode';
import { DURATION } from '../../../domain/durations';
import { PAYLOAD_MODES } from '../../../domain/minimal-payload';
import { SIGNATURE_STYLES } from '../../../domain/signature-styles';
import { VERIFICATION_METHODS } from '../../../domain/verification';
import { envelope } from '../envelope';
import { retryPolicy } from '../retry-policy';
import { signatureOut } from '../signature';
import { REDACTED_VALUE } from '../webhook-policies';
import { count, listOf, publicId, time } from './common';

const duration = z.string().regex(DURATION);

const health = z.strictObject({
  circuit: z.enum(['closed', 'open', 'half_open']),
  circuit_open_until: time.nullable(),
  throttled_until: time.nullable(),
  failures_in_a_row: count,
  failed_deliveries_in_a_row: count,
  failing_since: time.nullable(),
  adaptive_max_in_flight: count.nullable(),
});

const webhook = {
  id: publicId('webhook'),
  url: z.string(),
  events: z.array(z.string()),
  description: z.string().nullable(),
  active: z.boolean(),
  status: z.enum(WEBHOOK_STATUSES),
  status_reason: z.enum(DISABLED_BECAUSE).nullable(),
  status_since: time,
  metadata: z.record(z.string(), z.string()),
  headers: z.record(z.string(), z.literal(REDACTED_VALUE)),
  signature_styles: z.array(z.enum(SIGNATURE_STYLES)),
  signature: signatureOut.nullable(),
  /** Shown as it was given. */
  retry_policy: retryPolicy,
  timeout: duration,
  rate_limit: z.string().nullable(),
  max_in_flight: count.nullable(),
  mode: z.enum(DELIVERY_MODES).nullable(),
  ordered: z.boolean(),
  circuit_breaker: z.strictObject({ failures: count, window: duration, open_for: duration }).nullable(),
  disable_after: z.strictObject({ failed_deliveries: count.nullable(), failing_for: duration.nullable() }),
  payload: z.enum(PAYLOAD_MODES),
  payload_version: z.string().nullable(),
  filter: z.record(z.string(), z.unknown()).nullable(),
  body_format: z.enum(BODY_FORMATS),
  /** Shown as it was given. */
  envelope,
  health,
  verification: z.strictObject({
    status: z.enum(['unverified', 'pending', 'verified', 'failed']),
    method: z.enum(VERIFICATION_METHODS).nullable(),
    verified_at: time.nullable(),
    last_error: z.string().nullable(),
  }),
  version: count,
  created_at: time,
  updated_at: time,
};

export const webhookOut = z.strictObject(webhook).meta({ id: 'Webhook' });
export const webhookListOut = listOf(webhookOut, 'webhook');

const secret = z.string().meta({ description: 'As it was given, or whsec_ and the key in base64' });
/** What was accepted although it should be otherwise; absent if there is nothing of the kind. */
const warnings = z.array(z.strictObject({ field: z.string(), rule: z.string() })).optional();

export const newWebhookOut = z.strictObject({ ...webhook, secret, warnings }).meta({ id: 'NewWebhook' });

export const secretOut = z
  .strictObject({
    secret,
    created_at: time,
    /** Null: the styles that carry one signature use it. */
    switch_at: time.nullable(),
    previous: z.array(z.strictObject({ created_at: time, expires_at: time })),
  })
  .meta({ id: 'WebhookSecret' });

export const rotatedSecretOut = z
  .strictObject({ secret, previous_sign_until: time, switch_at: time, warnings })
  .meta({ id: 'RotatedSecret' });

export const skippedOut = z.strictObject({ skipped: publicId('delivery') }).meta({ id: 'SkippedDelivery' });
