import type { Migration } from 'kysely';
import * as createTenants from './0001_create_tenants';
import * as createWebhooks from './0002_create_webhooks';
import * as createEvents from './0003_create_events';
import * as createDeliveryQueue from './0004_create_delivery_queue';
import * as createAuditLog from './0005_create_audit_log';
import * as addWebhookPolicies from './0006_add_webhook_policies';
import * as addLanes from './0007_add_lanes';
import * as createReplays from './0008_create_replays';
import * as createOperationalOutbox from './0009_create_operational_outbox';
import * as addKeyKinds from './0010_add_key_kinds';
import * as createIdempotentRequests from './0011_create_idempotent_requests';
import * as createEventTypes from './0012_create_event_types';
import * as addEndpointVerification from './0013_add_endpoint_verification';
import * as addExpressLane from './0015_add_express_lane';
import * as spareStatistics from './0016_spare_statistics';
import * as analyzeLessOften from './0017_analyze_less_often';
import * as addLeaseHolders from './0018_add_lease_holders';
import * as createPublishProbe from './0019_create_publish_probe';
import * as setOperationalEventsAside from './0020_set_operational_events_aside';
import * as indexFailedAndRunning from './0021_index_failed_and_running';
import * as claimByTenant from './0022_claim_by_tenant';
import * as renameLanes from './0023_rename_lanes';
import * as renameGateColumns from './0024_rename_gate_columns';
import * as addDeclaredSignatures from './0025_add_declared_signatures';
import * as addBodySettings from './0026_add_body_settings';
import * as whatBelongsToAUrl from './0027_what_belongs_to_a_url';
import * as addErrorDetails from './0029_add_error_details';
import * as keepWhatWasWritten from './0030_keep_what_was_written';

/** Every migration in order. They only go forward; a new one is one more line. */
export const migrations: Record<string, Migration> = {
  '0001_create_tenants': createTenants,
  '0002_create_webhooks': createWebhooks,
  '0003_create_events': createEvents,
  '0004_create_delivery_queue': createDeliveryQueue,
  '0005_create_audit_log': createAuditLog,
  '0006_add_webhook_policies': addWebhookPolicies,
  '0007_add_lanes': addLanes,
  '0008_create_replays': createReplays,
  '0009_create_operational_outbox': createOperationalOutbox,
  '0010_add_key_kinds': addKeyKinds,
  '0011_create_idempotent_requests': createIdempotentRequests,
  '0012_create_event_types': createEventTypes,
  '0013_add_endpoint_verification': addEndpointVerification,
  '0015_add_express_lane': addExpressLane,
  '0016_spare_statistics': spareStatistics,
  '0017_analyze_less_often': analyzeLessOften,
  '0018_add_lease_holders': addLeaseHolders,
  '0019_create_publish_probe': createPublishProbe,
  '0020_set_operational_events_aside': setOperationalEventsAside,
  '0021_index_failed_and_running': indexFailedAndRunning,
  '0022_claim_by_tenant': claimByTenant,
  '0023_rename_lanes': renameLanes,
  '0024_rename_gate_columns': renameGateColumns,
  '0025_add_declared_signatures': addDeclaredSignatures,
  '0026_add_body_settings': addBodySettings,
  '0027_what_belongs_to_a_url': whatBelongsToAUrl,
  '0029_add_error_details': addErrorDetails,
  '0030_keep_what_was_written': keepWhatWasWritten,
};
