import { prepareStatement } from '../prepared-statement';
import { CLAIM_PARAMETERS, CLAIM_PROGRESS, CLAIM_ROWS, NO_PROGRESS } from './claim.sql';
import { elapsedMs, remainingMs, sealedSecretsOf } from './load-attempt.sql';

/**
 * The claim of the express path. It loads what the attempts need in the same trip: what a webhook says comes once, in a row
 * of its own, however many of its deliveries were claimed.
 */
export const claimExpressStatement = prepareStatement(
  'claim-express',
  CLAIM_PARAMETERS,
  `${CLAIM_ROWS}
-- A row for each delivery. It reads deliveries and events besides.
select claimed.delivery_id, claimed.tenant_id, claimed.webhook_id, claimed.event_id, claimed.event_type, claimed.seq,
  claimed.attempt, claimed.step, claimed.trigger, claimed.cancel_asked,
  ${remainingMs('claimed')} remaining_ms, ${elapsedMs('claimed')} elapsed_ms,
  deliveries.minimal, events.key_fields, events.body, null::json webhook, ${NO_PROGRESS}
from claimed
join deliveries on deliveries.id = claimed.delivery_id
join events on events.id = claimed.event_id
union all
-- A row for each webhook. It reads webhooks and webhook_secrets besides.
select null, null, webhooks.id, null, null, null, null, null, null, null, null, null, null, null, null,
  json_build_object('id', webhooks.id, 'url', webhooks.url, 'host', webhooks.host, 'timeoutMs', webhooks.timeout_ms,
    'retryPolicy', webhooks.retry_policy, 'signatureStyles', webhooks.signature_styles,
    'signature', webhooks.signature,
    'sealedHeaders', webhooks.sealed_headers, 'bodyFormat', webhooks.body_format, 'envelope', webhooks.envelope,
    'cap', (select passing.cap from passing where passing.webhook_id = webhooks.id limit 1),
    'urlChanges', (select passing.url_changes from passing where passing.webhook_id = webhooks.id limit 1),
    'paced', (select passing.rate_limited from passing where passing.webhook_id = webhooks.id limit 1),
    'sealedSecrets', coalesce(${sealedSecretsOf('webhooks')}, '[]')),
  null, null, null, null, null, null, null, null, null
from webhooks where webhooks.id = any(array(select distinct webhook_id from kept)) and webhooks.deleted_at is null
union all
-- How far the claim came.
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, ${CLAIM_PROGRESS}`,
);
