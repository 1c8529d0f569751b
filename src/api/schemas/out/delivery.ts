import { z } from 'zod';
import { FAILED_BECAUSE } from '../../../domain/classify';
import { DELIVERY_STATES, HELD_BECAUSE, TRIGGERS } from '../../../domain/delivery';
import { DELIVERY_PATHS } from '../../../domain/delivery-mode';
import { TLS_CAUSES } from '../../../domain/tls-causes';
import { TEST_OUTCOMES } from '../../../domain/webhook-test';
import { count, listOf, publicId, receiverStatus, time } from './common';

export const failedBecause = z.enum(FAILED_BECAUSE);
/** The codes of docs/errors.md, "Delivery error codes". */
const errorCode = z.string().regex(/^[a-z_]+$/);
const errorDetailsOut = z
  .strictObject({
    cause: z.enum(TLS_CAUSES).optional(),
    library_code: z.string().optional(),
    reason: z.string().optional(),
    certificate: z
      .strictObject({
        subject: z.string(),
        issuer: z.string(),
        names: z.array(z.string()),
        valid_from: time.nullable(),
        valid_to: time.nullable(),
        authority: z.string().optional(),
      })
      .optional(),
    tried: z.array(z.strictObject({ address: z.string(), library_code: z.string() })).optional(),
  })
  .meta({ description: 'What a library said of it, as far as it said anything.' });
export const sendErrorOut = z
  .strictObject({ code: errorCode, message: z.string(), details: errorDetailsOut.optional() })
  .meta({ id: 'SendError' });

const heldBecause = z.enum(HELD_BECAUSE);

const delivery = {
  id: publicId('delivery'),
  event_id: publicId('event'),
  event_type: z.string(),
  webhook_id: publicId('webhook'),
  status: z.enum(DELIVERY_STATES),
  held_because: heldBecause.optional(),
  failed_because: failedBecause.optional(),
  attempt_count: count,
  path: z.enum(DELIVERY_PATHS).nullable(),
  next_attempt_at: time.nullable(),
  last_status_code: receiverStatus.nullable(),
  last_error_code: errorCode.nullable(),
  last_attempt_at: time.nullable(),
  response_time_ms: count.nullable(),
  created_at: time,
  ended_at: time.nullable(),
  delivered_at: time.nullable(),
};

export const deliveryOut = z.strictObject(delivery).meta({ id: 'Delivery' });
export const deliveryListOut = listOf(deliveryOut, 'delivery');

const headersOut = z.record(z.string(), z.string());

const attempt = {
  id: publicId('attempt'),
  number: z.int().min(1),
  trigger: z.enum(TRIGGERS),
  started_at: time,
  duration_ms: count,
  outcome: z.enum(['delivered', 'failed', 'cancelled', 'retry']),
  status_code: receiverStatus.nullable(),
  error: sendErrorOut.nullable(),
  request: z.strictObject({
    headers: headersOut,
    body: z.string().optional().meta({ description: 'As it was sent. Shown with the newest one of a delivery.' }),
  }),
  response: z
    .strictObject({
      headers: headersOut,
      body: z.string(),
      body_base64: z.string().nullable().meta({ description: 'The bytes of a body that is not UTF-8.' }),
      cut: z.enum(['body_timeout', 'body_too_large', 'body_broken_off', 'total_timeout']).nullable(),
    })
    .nullable(),
  remote_address: z.string().nullable(),
};

export const attemptOut = z.strictObject(attempt).meta({ id: 'Attempt' });

/** The attempt of a test of a webhook: of no delivery, and with empty fields until it has been made. */
export const webhookTestOut = z
  .strictObject({
    ...attempt,
    webhook_id: publicId('webhook'),
    event_type: z.string(),
    outcome: z.enum(TEST_OUTCOMES),
    started_at: time.nullable(),
    duration_ms: count.nullable(),
    request: attempt.request.nullable(),
    created_at: time,
  })
  .meta({ id: 'WebhookTest' });

export const webhookTestListOut = listOf(webhookTestOut, 'attempt');

export const attemptListOut = listOf(attemptOut, 'attempt');

export const deliveryDetailOut = z
  .strictObject({
    ...delivery,
    attempts: z.array(attemptOut),
    attempts_cursor: publicId('attempt').nullable().meta({ description: 'Where the list of older attempts goes on.' }),
    workflow: z.strictObject({ id: publicId('delivery'), ui_url: z.string().optional() }),
  })
  .meta({ id: 'DeliveryWithAttempts' });

export const deliveryStatusOut = z
  .strictObject({
    id: publicId('delivery'),
    status: z.enum(DELIVERY_STATES),
    held_because: heldBecause.optional(),
    attempt_count: count,
    next_attempt_at: time.nullable(),
    last_attempt: z
      .strictObject({
        number: z.int().min(1),
        status_code: receiverStatus.nullable(),
        error_code: errorCode.nullable(),
      })
      .optional(),
    source: z.enum(['workflow', 'database']),
  })
  .meta({ id: 'DeliveryStatus' });
