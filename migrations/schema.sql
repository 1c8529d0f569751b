-- Written by `npm run schema` from the migrations. Do not edit.

create table api_keys (
  id uuid not null,
  tenant_id uuid,
  key_hash bytea not null,
  scopes text[] not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  kind text not null default 'tenant'::text,
  name text,
  created_by text,
  last_used_at timestamp with time zone,
  constraint api_keys_key_hash_key UNIQUE (key_hash),
  constraint api_keys_kind_check CHECK ((kind = ANY (ARRAY['tenant'::text, 'admin'::text]))),
  constraint api_keys_owner CHECK (((kind = 'tenant'::text) = (tenant_id IS NOT NULL))),
  constraint api_keys_pkey PRIMARY KEY (id),
  constraint api_keys_scopes CHECK (
CASE kind
    WHEN 'admin'::text THEN (scopes = '{admin}'::text[])
    ELSE (NOT ('admin'::text = ANY (scopes)))
END),
  constraint api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id)
);

CREATE INDEX api_keys_tenant ON public.api_keys USING btree (tenant_id, id);

create table attempts (
  delivery_id uuid not null,
  number integer not null,
  id uuid not null,
  tenant_id uuid not null,
  webhook_id uuid not null,
  trigger text not null,
  started_at timestamp with time zone not null,
  duration_ms integer not null,
  outcome text not null,
  status_code integer,
  error_code text,
  error_message text,
  request_headers jsonb not null,
  response_headers jsonb,
  response_body bytea,
  remote_address text,
  response_cut text,
  sent_as json,
  error_details jsonb,
  constraint attempts_pkey PRIMARY KEY (delivery_id, number)
) partition by RANGE (delivery_id);

create table audit_log (
  id uuid not null,
  tenant_id uuid,
  actor text not null,
  action text not null,
  target text not null,
  details jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null default now(),
  constraint audit_log_pkey PRIMARY KEY (id)
);

CREATE INDEX audit_log_tenant ON public.audit_log USING btree (tenant_id, id);

create table deliveries (
  id uuid not null,
  tenant_id uuid not null,
  event_id uuid not null,
  webhook_id uuid not null,
  event_type text not null,
  state text not null default 'pending'::text,
  attempt_count integer not null default 0,
  failed_because text,
  failed_at timestamp with time zone,
  ended_at timestamp with time zone,
  minimal boolean not null default false,
  path text,
  constraint deliveries_pkey PRIMARY KEY (id)
) partition by RANGE (id);

CREATE INDEX deliveries_dead ON ONLY public.deliveries USING btree (tenant_id, id) WHERE (failed_at IS NOT NULL);

CREATE INDEX deliveries_event ON ONLY public.deliveries USING btree (event_id);

CREATE INDEX deliveries_failed ON ONLY public.deliveries USING btree (tenant_id, id) WHERE (failed_because IS NOT NULL);

CREATE INDEX deliveries_tenant ON ONLY public.deliveries USING btree (tenant_id, id);

CREATE INDEX deliveries_webhook ON ONLY public.deliveries USING btree (webhook_id, id);

create table delivery_queue (
  delivery_id uuid not null,
  tenant_id uuid not null,
  event_id uuid not null,
  webhook_id uuid not null,
  event_type text not null,
  seq bigint not null generated always as identity,
  timed boolean not null default false,
  lease_until timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  next_attempt_at timestamp with time zone,
  attempt integer not null default 0,
  step integer not null default 0,
  trigger text not null default 'schedule'::text,
  asked_by uuid,
  priority smallint not null default 1,
  cycle_started_at timestamp with time zone,
  express boolean not null default false,
  holder integer,
  posting integer,
  posted_beat bigint,
  cancel_asked boolean not null default false,
  moves integer not null default 0,
  attempt_failed_at timestamp with time zone,
  failed_at timestamp with time zone,
  constraint delivery_queue_pkey PRIMARY KEY (delivery_id),
  constraint delivery_queue_priority_check CHECK (((priority >= 0) AND (priority <= 2)))
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=200000);

CREATE INDEX delivery_queue_cancel ON public.delivery_queue USING btree (delivery_id) WHERE cancel_asked;

CREATE INDEX delivery_queue_due ON public.delivery_queue USING btree (next_attempt_at) WHERE timed;

CREATE INDEX delivery_queue_tenants ON public.delivery_queue USING btree (priority, tenant_id, webhook_id, seq) WHERE (NOT timed);

CREATE INDEX delivery_queue_timed ON public.delivery_queue USING btree (webhook_id, seq) WHERE timed;

create table event_type_versions (
  id uuid not null,
  tenant_id uuid not null,
  name text not null,
  version text not null,
  schema json,
  example json,
  created_at timestamp with time zone not null default now(),
  schema_text text,
  example_text text,
  constraint event_type_versions_pkey PRIMARY KEY (id),
  constraint event_type_versions_tenant_id_name_fkey FOREIGN KEY (tenant_id, name) REFERENCES event_types(tenant_id, name) ON DELETE CASCADE,
  constraint event_type_versions_tenant_id_name_version_key UNIQUE (tenant_id, name, version)
);

create table event_types (
  tenant_id uuid not null,
  name text not null,
  description text,
  deprecated boolean not null default false,
  key_fields text[] not null default '{}'::text[],
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint event_types_pkey PRIMARY KEY (tenant_id, name),
  constraint event_types_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id)
);

create table events (
  id uuid not null,
  tenant_id uuid not null,
  type text not null,
  body bytea not null,
  created_at timestamp with time zone not null default now(),
  key_fields text[],
  constraint events_pkey PRIMARY KEY (id)
) partition by RANGE (id);

CREATE INDEX events_tenant ON ONLY public.events USING btree (tenant_id, id);

create table idempotency_keys (
  tenant_id uuid not null,
  kind text not null,
  key text not null,
  event_id uuid not null,
  created_at timestamp with time zone not null default now(),
  constraint idempotency_keys_pkey PRIMARY KEY (tenant_id, kind, key)
);

CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (kind, created_at);

create table idempotent_requests (
  tenant_id uuid not null,
  key text not null,
  id uuid not null,
  request_hash bytea not null,
  state text not null default 'running'::text,
  claims integer not null default 1,
  lease_until timestamp with time zone,
  status integer,
  answer text,
  sealed boolean not null default true,
  created_at timestamp with time zone not null default now(),
  headers jsonb,
  constraint idempotent_requests_pkey PRIMARY KEY (tenant_id, key),
  constraint idempotent_requests_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text])))
);

CREATE INDEX idempotent_requests_age ON public.idempotent_requests USING btree (created_at);

create table lease_holders (
  id integer not null generated always as identity,
  beats bigint not null default 0,
  started_at timestamp with time zone not null default now(),
  constraint lease_holders_pkey PRIMARY KEY (id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000);

create table operational_outbox (
  id uuid not null default gen_random_uuid(),
  tenant_id uuid not null,
  type text not null,
  webhook_id uuid not null,
  delivery_id uuid,
  details jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null default now(),
  tries integer not null default 0,
  next_try_at timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  failing_since timestamp with time zone,
  error_code text,
  set_aside_at timestamp with time zone,
  constraint operational_outbox_pkey PRIMARY KEY (id)
);

CREATE INDEX operational_outbox_aside ON public.operational_outbox USING btree (set_aside_at) WHERE (set_aside_at IS NOT NULL);

CREATE INDEX operational_outbox_due ON public.operational_outbox USING btree (tenant_id, next_try_at, created_at) WHERE (set_aside_at IS NULL);

create table publish_probe (
  only_row boolean not null default true,
  probed_at timestamp with time zone not null default now(),
  constraint publish_probe_only_row_check CHECK (only_row),
  constraint publish_probe_pkey PRIMARY KEY (only_row)
) with (fillfactor=10);

create table replays (
  id uuid not null,
  tenant_id uuid not null,
  webhook_id uuid,
  filter jsonb not null,
  rate_per_second real not null,
  state text not null default 'running'::text,
  total integer,
  sent integer not null default 0,
  skipped integer not null default 0,
  position uuid,
  asked_by uuid,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  ended_at timestamp with time zone,
  constraint replays_pkey PRIMARY KEY (id),
  constraint replays_rate_per_second_check CHECK ((rate_per_second > (0)::double precision)),
  constraint replays_state_check CHECK ((state = ANY (ARRAY['running'::text, 'completed'::text, 'cancelled'::text])))
);

CREATE INDEX replays_running ON public.replays USING btree (updated_at) WHERE (state = 'running'::text);

CREATE INDEX replays_running_tenant ON public.replays USING btree (tenant_id) WHERE (state = 'running'::text);

CREATE INDEX replays_tenant ON public.replays USING btree (tenant_id, id);

create table subscriptions (
  tenant_id uuid not null,
  pattern text not null,
  webhook_id uuid not null,
  minimal boolean not null default false,
  payload_version text,
  constraint subscriptions_pkey PRIMARY KEY (tenant_id, pattern, webhook_id) INCLUDE (minimal, payload_version)
);

create table tenants (
  id uuid not null,
  name text not null,
  created_at timestamp with time zone not null default now(),
  unknown_event_types text not null default 'accept'::text,
  unknown_event_versions text not null default 'accept'::text,
  endpoint_verification text not null default 'off'::text,
  constraint tenants_endpoint_verification_check CHECK ((endpoint_verification = ANY (ARRAY['required'::text, 'optional'::text, 'off'::text]))),
  constraint tenants_name_key UNIQUE (name),
  constraint tenants_pkey PRIMARY KEY (id),
  constraint tenants_unknown_event_types_check CHECK ((unknown_event_types = ANY (ARRAY['accept'::text, 'refuse'::text]))),
  constraint tenants_unknown_event_versions_check CHECK ((unknown_event_versions = ANY (ARRAY['accept'::text, 'refuse'::text])))
);

create table webhook_gates (
  webhook_id uuid not null,
  status text not null default 'active'::text,
  blocked_until timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  max_in_flight integer,
  ordered boolean not null default false,
  rate_per_second real,
  burst integer not null default 1,
  rate_next_at timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  slot_delivery_id uuid,
  slot_until timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  serial boolean generated always as ((ordered OR (rate_per_second IS NOT NULL))) stored,
  adaptive_cap integer,
  status_reason text,
  status_since timestamp with time zone not null default now(),
  breaker_threshold integer default 10,
  breaker_window_ms integer not null default 60000,
  breaker_open_ms integer not null default 30000,
  breaker_until timestamp with time zone,
  failures integer not null default 0,
  failures_since timestamp with time zone,
  failing_since timestamp with time zone,
  last_failure_at timestamp with time zone,
  failed_in_a_row integer not null default 0,
  disable_after_failed integer default 10,
  disable_after_ms bigint default 432000000,
  unverified boolean not null default false,
  status_version integer not null default 0,
  mode text,
  url_changes integer not null default 0,
  failed_since timestamp with time zone,
  constraint webhook_gates_adaptive_cap_check CHECK ((adaptive_cap > 0)),
  constraint webhook_gates_breaker_open_ms_check CHECK ((breaker_open_ms > 0)),
  constraint webhook_gates_breaker_threshold_check CHECK ((breaker_threshold > 0)),
  constraint webhook_gates_breaker_window_ms_check CHECK ((breaker_window_ms > 0)),
  constraint webhook_gates_disable_after_failed_check CHECK ((disable_after_failed > 0)),
  constraint webhook_gates_disable_after_ms_check CHECK ((disable_after_ms > 0)),
  constraint webhook_gates_max_in_flight_check CHECK ((max_in_flight > 0)),
  constraint webhook_gates_mode_check CHECK ((mode = ANY (ARRAY['workflow'::text, 'express'::text, 'auto'::text]))),
  constraint webhook_gates_pkey PRIMARY KEY (webhook_id),
  constraint webhook_gates_rate_per_second_check CHECK ((rate_per_second > (0)::double precision)),
  constraint webhook_gates_status_check CHECK ((status = ANY (ARRAY['active'::text, 'paused'::text, 'disabled'::text])))
) with (fillfactor=50);

create table webhook_secrets (
  id uuid not null,
  webhook_id uuid not null,
  sealed text not null,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone,
  switch_at timestamp with time zone,
  constraint webhook_secrets_pkey PRIMARY KEY (id),
  constraint webhook_secrets_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks(id)
);

CREATE INDEX webhook_secrets_webhook ON public.webhook_secrets USING btree (webhook_id);

create table webhook_tests (
  id uuid not null,
  tenant_id uuid not null,
  webhook_id uuid not null,
  event_type text not null,
  body bytea not null,
  outcome text not null default 'pending'::text,
  attempt json,
  created_at timestamp with time zone not null default now(),
  constraint webhook_tests_outcome_check CHECK ((outcome = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text]))),
  constraint webhook_tests_pkey PRIMARY KEY (id)
);

CREATE INDEX webhook_tests_tenant ON public.webhook_tests USING btree (tenant_id, id);

CREATE INDEX webhook_tests_webhook ON public.webhook_tests USING btree (webhook_id, id);

create table webhooks (
  id uuid not null,
  tenant_id uuid not null,
  url text not null,
  host text not null,
  patterns text[] not null,
  description text,
  metadata jsonb not null default '{}'::jsonb,
  retry_policy jsonb not null,
  timeout_ms integer not null,
  version integer not null default 1,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  cleared_at timestamp with time zone,
  signature_styles text[] not null default '{standard,x-webhook}'::text[],
  sealed_headers text,
  header_names text[] not null default '{}'::text[],
  rate_limit text,
  payload text not null default 'full'::text,
  payload_version text,
  filter json,
  verification_round integer not null default 0,
  verification_pending_since timestamp with time zone,
  verification_method text,
  verification_error text,
  verified_at timestamp with time zone,
  signature jsonb,
  body_format text not null default 'exact'::text,
  envelope json,
  constraint webhooks_body_format_check CHECK ((body_format = ANY (ARRAY['exact'::text, 'compact'::text, 'javascript'::text]))),
  constraint webhooks_payload_check CHECK ((payload = ANY (ARRAY['full'::text, 'minimal'::text]))),
  constraint webhooks_pkey PRIMARY KEY (id),
  constraint webhooks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id),
  constraint webhooks_timeout_ms_check CHECK (((timeout_ms >= 1000) AND (timeout_ms <= 30000)))
);

CREATE INDEX webhooks_filtered ON public.webhooks USING btree (tenant_id) WHERE ((filter IS NOT NULL) AND (deleted_at IS NULL));

CREATE INDEX webhooks_tenant ON public.webhooks USING btree (tenant_id, id) WHERE (deleted_at IS NULL);

CREATE INDEX webhooks_uncleared ON public.webhooks USING btree (deleted_at) WHERE ((deleted_at IS NOT NULL) AND (cleared_at IS NULL));

CREATE OR REPLACE FUNCTION public.holder_lives(holder integer)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$begin return exists (select from lease_holders h where h.id = holder); end$function$;
