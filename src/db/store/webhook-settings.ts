import type { Insertable, Selectable, Updateable } from 'kysely';
import type { BodySettings } from '../../domain/compose-body';
import type { DeclaredSignature } from '../../domain/declared-signature';
import type { WebhookStatus } from '../../domain/delivery';
import type { DeliveryMode } from '../../domain/delivery-mode';
import type { Envelope } from '../../domain/envelope-setting';
import type { Filter } from '../../domain/filter';
import type { PayloadMode } from '../../domain/minimal-payload';
import { parseRateLimit, toTokenBucket } from '../../domain/rate-limit';
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import type { SignatureStyle } from '../../domain/signature-styles';
import type { Tables } from '../tables';

/**
 * What may be set of a webhook, and the only place that knows in which columns each setting stands: those of `webhooks`,
 * which the attempt reads, and those of `webhook_gates`, which the claim reads.
 */
export type WebhookSettings = BodySettings & {
  url: string;
  host: string;
  patterns: string[];
  description: string | null;
  metadata: Record<string, string>;
  retryPolicy: StoredRetryPolicy;
  timeoutMs: number;
  signatureStyles: SignatureStyle[];
  /** Its own way to sign, in addition; null: none. */
  signature: DeclaredSignature | null;
  /** The webhook's own headers, sealed: they may hold credentials. */
  sealedHeaders: string | null;
  headerNames: string[];
  payload: PayloadMode;
  /** Only events of this version; null: of every one. */
  payloadVersion: string | null;
  /** Only events that pass it; null: all. */
  filter: Filter | null;
  status: WebhookStatus;
  /** As text, such as `100/1m`. In both tables: as it was given, and as the gate counts by it. */
  rateLimit: string | null;
  maxInFlight: number | null;
  /** Null: what the installation says. */
  mode: DeliveryMode | null;
  ordered: boolean;
  /** Null: never opens. */
  breaker: { failures: number; windowMs: number; openMs: number } | null;
  /** Null: not for this reason. */
  disableAfter: { failedDeliveries: number | null; failingForMs: number | null };
};

type NewWebhook = Omit<Insertable<Tables['webhooks']>, 'id' | 'tenant_id'>;
type WebhookChange = Updateable<Tables['webhooks']>;
type GateChange = Updateable<Tables['webhook_gates']>;

/** The columns of `webhooks`. Undefined: that setting is not given, and kysely leaves the column out. */
export function toColumns(settings: WebhookSettings): NewWebhook;
export function toColumns(settings: Partial<WebhookSettings>): WebhookChange;
export function toColumns(settings: Partial<WebhookSettings>): WebhookChange {
  return {
    url: settings.url,
    host: settings.host,
    patterns: settings.patterns,
    description: settings.description,
    metadata: toJson(settings.metadata),
    retry_policy: toJson(settings.retryPolicy),
    timeout_ms: settings.timeoutMs,
    signature_styles: settings.signatureStyles,
    signature: settings.signature === null ? null : toJson(settings.signature),
    sealed_headers: settings.sealedHeaders,
    header_names: settings.headerNames,
    rate_limit: settings.rateLimit,
    payload: settings.payload,
    payload_version: settings.payloadVersion,
    filter: settings.filter === null ? null : toJson(settings.filter),
    body_format: settings.bodyFormat,
    envelope: toEnvelopeColumn(settings.envelope),
  };
}

/**
 * The columns of `webhook_gates`, but for the status: a gate is moved by ./gates.ts. Undefined: that setting is not given,
 * and kysely leaves the column out.
 */
export function toGateColumns(settings: Partial<WebhookSettings>): GateChange {
  const { rateLimit, maxInFlight, mode, ordered, breaker, disableAfter } = settings;
  return {
    ...(rateLimit !== undefined && toRateColumns(rateLimit)),
    // What the gate has found out for itself goes with the cap that it began from.
    ...(maxInFlight !== undefined && { max_in_flight: maxInFlight, adaptive_cap: null }),
    mode,
    ordered,
    ...(breaker === null && { breaker_threshold: null, breaker_until: null }),
    ...(breaker && {
      breaker_threshold: breaker.failures,
      breaker_window_ms: breaker.windowMs,
      breaker_open_ms: breaker.openMs,
    }),
    disable_after_failed: disableAfter?.failedDeliveries,
    disable_after_ms: disableAfter?.failingForMs,
  };
}

/** The columns of `webhook_gates` that {@link settingsOf} reads. */
export const GATE_COLUMNS = [
  'status',
  'max_in_flight',
  'mode',
  'ordered',
  'breaker_threshold',
  'breaker_window_ms',
  'breaker_open_ms',
  'disable_after_failed',
  'disable_after_ms',
] as const satisfies (keyof Tables['webhook_gates'])[];

type SettingsRow = Selectable<Tables['webhooks']> &
  Pick<Selectable<Tables['webhook_gates']>, (typeof GATE_COLUMNS)[number]>;

/** The settings of a webhook, from its row and its gate's. */
export function settingsOf(row: SettingsRow): WebhookSettings {
  return {
    url: row.url,
    host: row.host,
    patterns: row.patterns,
    description: row.description,
    metadata: row.metadata,
    retryPolicy: row.retry_policy,
    timeoutMs: row.timeout_ms,
    signatureStyles: row.signature_styles,
    signature: row.signature,
    sealedHeaders: row.sealed_headers,
    headerNames: row.header_names,
    rateLimit: row.rate_limit,
    payload: row.payload,
    payloadVersion: row.payload_version,
    filter: row.filter,
    bodyFormat: row.body_format,
    envelope: row.envelope ?? 'standard',
    status: row.status,
    maxInFlight: row.max_in_flight,
    mode: row.mode,
    ordered: row.ordered,
    breaker:
      row.breaker_threshold === null
        ? null
        : { failures: row.breaker_threshold, windowMs: row.breaker_window_ms, openMs: row.breaker_open_ms },
    disableAfter: { failedDeliveries: row.disable_after_failed, failingForMs: row.disable_after_ms },
  };
}

const toJson = (value: object | undefined) => value && JSON.stringify(value);

const toEnvelopeColumn = (envelope: Envelope | undefined) =>
  envelope === 'standard' ? null : envelope && JSON.stringify(envelope);

function toRateColumns(rateLimit: string | null): GateChange {
  const limit = rateLimit === null ? undefined : parseRateLimit(rateLimit);
  if (!limit) return { rate_per_second: null, burst: 1 };
  const { ratePerSecond, burst } = toTokenBucket(limit);
  return { rate_per_second: ratePerSecond, burst };
}
