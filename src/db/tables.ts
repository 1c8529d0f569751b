import type { ColumnType, Generated } from 'kysely';
import type { EndState, Trigger, WebhookStatus } from '../domain/delivery';
import type { StoredRetryPolicy } from '../domain/retry-schedule';

type CreatedAt = ColumnType<Date, Date | undefined, never>;
type Json<T> = ColumnType<T, string, string>;

export type Tables = {
  tenants: { id: string; name: string; created_at: CreatedAt };
  api_keys: {
    id: string;
    tenant_id: string;
    key_hash: Buffer;
    scopes: string[];
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
    version: Generated<number>;
    created_at: CreatedAt;
    updated_at: ColumnType<Date, Date | undefined, Date>;
    deleted_at: Date | null;
  };
  webhook_secrets: {
    id: string;
    webhook_id: string;
    sealed: string;
    created_at: CreatedAt;
    expires_at: Date | null;
  };
  webhook_gates: {
    webhook_id: string;
    status: Generated<WebhookStatus>;
    blocked_until: Generated<Date>;
    max_in_flight: Generated<number>;
  };
  subscriptions: { tenant_id: string; pattern: string; webhook_id: string };
  events: { id: string; tenant_id: string; type: string; body: Buffer; created_at: CreatedAt };
  deliveries: {
    id: string;
    tenant_id: string;
    event_id: string;
    webhook_id: string;
    event_type: string;
    state: Generated<'pending' | EndState>;
    attempt_count: Generated<number>;
    failed_because: string | null;
    failed_at: Date | null;
    ended_at: Date | null;
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
    request_headers: Json<Record<string, string>>;
    response_headers: Json<Record<string, string>> | null;
    response_body: Buffer | null;
    remote_address: string | null;
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
  };
  audit_log: {
    id: string;
    tenant_id: string;
    actor: string;
    action: string;
    target: string;
    details: Json<Record<string, unknown>>;
    created_at: CreatedAt;
  };
};
