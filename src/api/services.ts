import type { FairSemaphore } from '../concurrency/fair-semaphore';
import type { Shares } from '../concurrency/shares';
import type { SecretBox } from '../crypto/secret-box';
import type { Database } from '../db/database';
import type { Publisher } from '../db/publish/publisher';
import type { RateLimit } from '../domain/rate-limit';
import type { VerificationMode } from '../domain/verification';
import type { Log } from '../log';
import type { KnownKeys } from './http/known-keys';
import type { RecentTenants } from './http/recent-tenants';
import type { Settling } from './http/settle-requests';
import type { TimeSlices } from './http/time-slices';
import type { PublishRules } from './publish/rules-cache';
import type { DeliveryWorkflows } from './temporal/deliveries';
import type { ReplayWorkflows } from './temporal/replays';
import type { VerificationWorkflows } from './temporal/verifications';
import type { WebhookTestWorkflows } from './temporal/webhook-tests';
import type { Waits } from './waits';

/** What handlers work with; built once per process. */
export type Services = {
  db: Database;
  secretBox: SecretBox;
  deliveryWorkflows: DeliveryWorkflows;
  replayWorkflows: ReplayWorkflows;
  publisher: Publisher;
  /** The API keys in use. */
  keys: KnownKeys;
  publishRules: PublishRules;
  /** Ends the use of an `Idempotency-Key`. */
  settling: Settling;
  recentTenants: RecentTenants;
  /** Permits for reads of Postgres: they leave connections for publishes, and for other tenants. */
  reads: FairSemaphore;
  /** Permits for changes, except publishes of single events: those share statements. */
  changes: FairSemaphore;
  /** Shares the event loop between tenants. */
  timeSlices: TimeSlices;
  verificationWorkflows: VerificationWorkflows;
  verificationWaits: Waits;
  webhookTestWorkflows: WebhookTestWorkflows;
  webhookTestWaits: Waits;
  /** Queries to running workflows, of one tenant and in all: each may take a second. */
  workflowQueries: Shares;
  log: Log;
  /** Notifies the relays of work; returns at once. */
  notifyWork: () => void;
  /** Webhooks that one tenant may have. */
  maxWebhooks: number;
  /** http URLs may be registered. */
  allowHttp: boolean;
  /** Secrets that are too weak are accepted, with a warning. */
  allowWeakSecrets: boolean;
  /** The rate of a bulk replay whose request names none. */
  replayRate: RateLimit;
  /** Addresses and CIDR blocks that deliveries come from, as configured; shown to tenants, not used. */
  senderAddresses: readonly string[];
  /** The least mode of endpoint verification, whatever a tenant's setting is. */
  minVerification: VerificationMode;
  /** Why deliveries may not go to this URL; undefined if nothing is found against it now. */
  checkTarget: (url: URL, tenantId: string) => Promise<'blocked_address' | undefined>;
};
