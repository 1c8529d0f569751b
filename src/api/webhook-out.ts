import type { Webhook } from '../db/store/webhook-row';
import { formatDuration } from '../domain/durations';
import { toPublicId } from '../domain/ids';
import type { StoredRetryPolicy, StoredRetryWaits } from '../domain/retry-schedule';
import { verificationStatus } from '../domain/verification';
import type { HandlerResult } from './route';
import { REDACTED_VALUE } from './schemas/webhook-policies';

/** An answer with one webhook, and its version as a strong entity tag (RFC 9110 8.8.3). */
export function webhookResult(status: number, webhook: Webhook, more: Record<string, unknown> = {}): HandlerResult {
  return { status, headers: { etag: `"${webhook.version}"` }, body: { ...toWebhookOut(webhook), ...more } };
}

/** A webhook as the API shows it: its settings, and the health of its endpoint. Secrets and header values are not in it. */
export function toWebhookOut(webhook: Webhook) {
  const { breaker, disableAfter } = webhook;
  return {
    id: toPublicId('webhook', webhook.id),
    url: webhook.url,
    events: webhook.patterns,
    description: webhook.description,
    active: webhook.status === 'active',
    status: webhook.status,
    status_reason: webhook.statusReason,
    status_since: webhook.statusSince,
    metadata: webhook.metadata,
    headers: Object.fromEntries(webhook.headerNames.map((name) => [name, REDACTED_VALUE])),
    signature_styles: webhook.signatureStyles,
    signature: webhook.signature,
    retry_policy: toRetryOut(webhook.retryPolicy),
    timeout: formatDuration(webhook.timeoutMs),
    rate_limit: webhook.rateLimit,
    max_in_flight: webhook.maxInFlight,
    mode: webhook.mode,
    ordered: webhook.ordered,
    circuit_breaker: breaker && {
      failures: breaker.failures,
      window: formatDuration(breaker.windowMs),
      open_for: formatDuration(breaker.openMs),
    },
    disable_after: {
      failed_deliveries: disableAfter.failedDeliveries,
      failing_for: disableAfter.failingForMs === null ? null : formatDuration(disableAfter.failingForMs),
    },
    payload: webhook.payload,
    payload_version: webhook.payloadVersion,
    filter: webhook.filter,
    body_format: webhook.bodyFormat,
    envelope: webhook.envelope,
    health: {
      circuit: webhook.breakerState,
      circuit_open_until: webhook.breakerState === 'open' ? webhook.breakerUntil : null,
      throttled_until: webhook.throttledUntil,
      failures_in_a_row: webhook.failuresInARow,
      failed_deliveries_in_a_row: webhook.failedDeliveriesInARow,
      failing_since: webhook.failingSince,
      adaptive_max_in_flight: webhook.adaptiveMaxInFlight,
    },
    verification: {
      status: verificationStatus(webhook.verification),
      method: webhook.verification.method,
      verified_at: webhook.verification.verifiedAt,
      last_error: webhook.verification.lastError,
    },
    version: webhook.version,
    created_at: webhook.createdAt,
    updated_at: webhook.updatedAt,
  };
}

function toRetryOut(policy: StoredRetryPolicy) {
  const { jitter, max_duration_ms, client_errors, ...waits } = policy;
  return {
    ...toWaitsOut(waits),
    ...(jitter !== undefined && { jitter }),
    ...(max_duration_ms !== undefined && { max_duration: formatDuration(max_duration_ms) }),
    ...(client_errors && { client_errors }),
  };
}

function toWaitsOut(waits: StoredRetryWaits) {
  if ('preset' in waits) return waits;
  if ('schedule_ms' in waits) return { schedule: waits.schedule_ms.map(formatDuration) };
  return {
    initial: formatDuration(waits.initial_ms),
    factor: waits.factor,
    max_interval: formatDuration(waits.max_interval_ms),
    max_attempts: waits.max_attempts,
  };
}
