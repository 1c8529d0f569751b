import type { Turns as DatabaseTurns } from '../concurrency/fair-turns';
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
import type { VerificationWaits } from './verification-waits';

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
  /** Of requests with an `Idempotency-Key`. */
  settling: Settling;
  recentTenants: RecentTenants;
  /** Reads, so many at once: they leave connections for what is published, and to other tenants. */
  reads: DatabaseTurns;
  /** The same for what changes something, publishing single events aside: those share statements. */
  changes: DatabaseTurns;
  /** Shares the event loop between tenants. */
  timeSlices: TimeSlices;
  verificationWorkflows: VerificationWorkflows;
  verificationWaits: VerificationWaits;
  /** Queries to running workflows, of one tenant and in all: each may take a second. */
  workflowQueries: Shares;
  log: Log;
  /** Tells the relays that there is work; returns at once. */
  notifyWork: () => void;
  /** Webhooks that one tenant may have. */
  maxWebhooks: number;
  /** http URLs may be registered. */
  allowHttp: boolean;
  /** The pace of a bulk replay that was asked for without one. */
  replayRate: RateLimit;
  /** Where deliveries come from, as the installation says: addresses and CIDR blocks. */
  senderAddresses: readonly string[];
  /** Below this no tenant's mode of endpoint verification counts. */
  minVerification: VerificationMode;
  /** Why deliveries may not go to this URL, as far as can be told now. */
  checkTarget: (url: URL, tenantId: string) => Promise<'blocked_address' | undefined>;
};
