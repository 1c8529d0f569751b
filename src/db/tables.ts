import type { ColumnType, Generated, GeneratedAlways, Selectable } from 'kysely';
import type { BodyFormat } from '../domain/body-format';
import type { FailedBecause } from '../domain/classify';
import type { DeclaredSignature } from '../domain/declared-signature';
import type { DisabledBecause, EndState, Trigger, WebhookStatus } from '../domain/delivery';
import type { DeliveryMode, DeliveryPath } from '../domain/delivery-mode';
import type { Envelope } from '../domain/envelope-setting';
import type { JsonObject, OnUnknown } from '../domain/event-types';
import type { Filter } from '../domain/filter';
import type { PayloadMode } from '../domain/minimal-payload';
import type { ReplayState, StoredReplayFilter } from '../domain/replay';
import type { StoredRetryPolicy } from '../domain/retry-schedule';
import type { KeyKind, Scope } from '../domain/scopes';
import type { SentAs } from '../domain/sent-as';
import type { SignatureStyle } from '../domain/signature-styles';
import type { VerificationMethod, VerificationMode } from '../domain/verification';
import type { TestOutcome } from '../domain/webhook-test';

type CreatedAt = ColumnType<Date, Date | undefined, never>;
type Json<T> = ColumnType<T, string, string>;
type StoredTestAttempt = Omit<Selectable<Tables['attempts']>, 'started_at' | 'response_body'> & {
  started_at: string;
  response_body: string | null;
};

/** Every table and column of migrations/schema.sql; test/db/tables.test.ts compares the two. A column stands on one line. */
export type Tables = {
  tenants: {
    id: string;
    name: string;
    unknown_event_types: Generated<OnUnknown>;
    unknown_event_versions: Generated<OnUnknown>;
    endpoint_verification: Generated<VerificationMode>;
    created_at: CreatedAt;
  };
  api_keys: {
    id: string;
    kind: Generated<KeyKind>;
    /** Null: an admin key. */
    tenant_id: string | null;
    name: string | null;
    key_hash: Buffer;
    scopes: Scope[];
    created_by: string | null;
    last_used_at: ColumnType<Date | null, never, Date>;
    expires_at: Date | null;
    revoked_at: Date | null;
    created_at: CreatedAt;
  };
  webhooks: {
    id: string;
    tenant_id: string;
    url: string;
    host: string;
    patterns: string[];
    description: string | null;
    metadata: Json<Record<string, string>>;
    retry_policy: Json<StoredRetryPolicy>;
    timeout_ms: number;
    signature_styles: Generated<SignatureStyle[]>;
    /** Null: none but the styles. */
    signature: ColumnType<DeclaredSignature | null, string | null | undefined, string | null>;
    sealed_headers: string | null;
    header_names: Generated<string[]>;
    rate_limit: string | null;
    payload: Generated<PayloadMode>;
    payload_version: string | null;
    filter: ColumnType<Filter | null, string | null | undefined, string | null>;
    body_format: Generated<BodyFormat>;
    /** Null: the standard one. */
    envelope: ColumnType<Exclude<Envelope, 'standard'> | null, string | null | undefined, string | null>;
    version: Generated<number>;
    verification_round: Generated<number>;
    verification_pending_since: Date | null;
    verification_method: VerificationMethod | null;
    verification_error: string | null;
    verified_at: Date | null;
    created_at: CreatedAt;
    updated_at: ColumnType<Date, Date | undefined, Date>;
    deleted_at: Date | null;
    /** It was deleted, and the last of its deliveries has ended. */
    cleared_at: Date | null;
  };
  webhook_secrets: {
    id: string;
    webhook_id: string;
    sealed: string;
    created_at: CreatedAt;
    expires_at: Date | null;
    /** From when on the styles that carry one signature use it; null: from the beginning. */
    switch_at: Date | null;
  };
  webhook_tests: {
    id: string;
    tenant_id: string;
    webhook_id: string;
    event_type: string;
    body: Buffer;
    outcome: Generated<Exclude<TestOutcome, 'not_made'>>;
    /** The row that `attempts` would have of it, the body of the answer in base64. */
    attempt: ColumnType<StoredTestAttempt | null, string | null | undefined, string>;
    created_at: CreatedAt;
  };
  webhook_gates: {
    webhook_id: string;
    status: Generated<WebhookStatus>;
    blocked_until: Generated<Date>;
    max_in_flight: number | null;
    adaptive_cap: number | null;
    ordered: Generated<boolean>;
    rate_per_second: number | null;
    burst: Generated<number>;
    /** GCRA's theoretical arrival time: the earliest time at which the rate limit passes the next attempt. */
    rate_next_at: Generated<Date>;
    slot_delivery_id: string | null;
    slot_until: Generated<Date>;
    /** It is ordered or has a rate limit. Computed, and so never null, though Postgres does not say so. */
    serial: GeneratedAlways<boolean | null>;
    status_reason: DisabledBecause | null;
    status_since: Generated<Date>;
    breaker_threshold: Generated<number | null>;
    breaker_window_ms: Generated<number>;
    breaker_open_ms: Generated<number>;
    breaker_until: Date | null;
    failures: Generated<number>;
    failures_since: Date | null;
    failing_since: Date | null;
    last_failure_at: Date | null;
    failed_in_a_row: Generated<number>;
    disable_after_failed: Generated<number | null>;
    disable_after_ms: Generated<number | null>;
    unverified: Generated<boolean>;
    mode: DeliveryMode | null;
    status_version: Generated<number>;
    /** How often it was given another URL. */
    url_changes: Generated<number>;
    /** The first of its failed deliveries in a row. */
    failed_since: Date | null;
  };
  subscriptions: {
    tenant_id: string;
    pattern: string;
    webhook_id: string;
    minimal: Generated<boolean>;
    payload_version: string | null;
  };
  event_types: {
    tenant_id: string;
    name: string;
    description: string | null;
    deprecated: Generated<boolean>;
    key_fields: Generated<string[]>;
    created_at: CreatedAt;
    updated_at: ColumnType<Date, Date | undefined, Date>;
  };
  event_type_versions: {
    id: string;
    tenant_id: string;
    name: string;
    version: string;
    schema: ColumnType<JsonObject | null, string | null, never>;
    example: ColumnType<JsonObject | null, string | null, never>;
    created_at: CreatedAt;
    schema_text: string | null;
    example_text: string | null;
  };
  events: {
    id: string;
    tenant_id: string;
    type: string;
    body: Buffer;
    key_fields: string[] | null;
    created_at: CreatedAt;
  };
  deliveries: {
    id: string;
    tenant_id: string;
    event_id: string;
    webhook_id: string;
    event_type: string;
    state: Generated<'pending' | EndState>;
    minimal: Generated<boolean>;
    attempt_count: Generated<number>;
    failed_because: FailedBecause | null;
    failed_at: Date | null;
    ended_at: Date | null;
    path: DeliveryPath | null;
  };
  attempts: {
    delivery_id: string;
    number: number;
    id: string;
    tenant_id: string;
    webhook_id: string;
    trigger: Trigger;
    started_at: Date;
    duration_ms: number;
    outcome: string;
    status_code: number | null;
    error_code: string | null;
    error_message: string | null;
    error_details: Json<Record<string, unknown>> | null;
    request_headers: Json<Record<string, string>>;
    response_headers: Json<Record<string, string>> | null;
    response_body: Buffer | null;
    response_cut: string | null;
    remote_address: string | null;
    /** Null: the body was the event's own bytes. */
    sent_as: ColumnType<SentAs | null, string | null | undefined, never>;
  };
  delivery_queue: {
    delivery_id: string;
    tenant_id: string;
    event_id: string;
    webhook_id: string;
    event_type: string;
    seq: Generated<number>;
    timed: Generated<boolean>;
    lease_until: Generated<Date>;
    next_attempt_at: Date | null;
    attempt: Generated<number>;
    step: Generated<number>;
    trigger: Generated<Trigger>;
    asked_by: string | null;
    priority: Generated<number>;
    express: Generated<boolean>;
    cycle_started_at: Date | null;
    holder: number | null;
    posting: number | null;
    posted_beat: number | null;
    cancel_asked: Generated<boolean>;
    moves: Generated<number>;
    /** When an attempt of it last failed. */
    attempt_failed_at: Date | null;
    /** When it had failed for good, before it was started anew. */
    failed_at: Date | null;
  };
  lease_holders: {
    id: Generated<number>;
    beats: Generated<number>;
    started_at: CreatedAt;
  };
  idempotency_keys: {
    tenant_id: string;
    kind: string;
    key: string;
    event_id: string;
    created_at: CreatedAt;
  };
  idempotent_requests: {
    tenant_id: string;
    key: string;
    id: string;
    request_hash: Buffer;
    state: Generated<'running' | 'done'>;
    claims: Generated<number>;
    lease_until: Date | null;
    status: number | null;
    answer: string | null;
    sealed: Generated<boolean>;
    created_at: CreatedAt;
    headers: Json<Record<string, string>> | null;
  };
  publish_probe: {
    only_row: Generated<boolean>;
    probed_at: Generated<Date>;
  };
  replays: {
    id: string;
    tenant_id: string;
    webhook_id: string | null;
    filter: Json<StoredReplayFilter>;
    rate_per_second: number;
    state: Generated<ReplayState>;
    total: number | null;
    sent: Generated<number>;
    skipped: Generated<number>;
    position: string | null;
    asked_by: string | null;
    created_at: CreatedAt;
    updated_at: ColumnType<Date, Date | undefined, Date>;
    ended_at: Date | null;
  };
  operational_outbox: {
    id: Generated<string>;
    tenant_id: string;
    type: string;
    webhook_id: string;
    delivery_id: string | null;
    details: Json<Record<string, unknown>>;
    created_at: CreatedAt;
    tries: Generated<number>;
    next_try_at: Generated<Date>;
    failing_since: Date | null;
    error_code: string | null;
    set_aside_at: Date | null;
  };
  audit_log: {
    id: string;
    tenant_id: string | null;
    actor: string;
    action: string;
    target: string;
    details: Json<Record<string, unknown>>;
    created_at: CreatedAt;
  };
};
