import type { Database } from '../db/database';
import type { Publisher } from '../db/publish-shared';
import type { SecretBox } from '../db/secret-box';
import type { RateLimit } from '../domain/rate-limit';
import type { Log } from '../log';
import type { Engine } from './engine';
import type { PublishRules } from './publish-rules';
import type { ReplayEngine } from './replay-engine';
import type { VerificationEngine } from './verification-engine';

/** What handlers work with; built once per process. */
export type Services = {
  db: Database;
  secretBox: SecretBox;
  engine: Engine;
  replays: ReplayEngine;
  publisher: Publisher;
  publishRules: PublishRules;
  verifications: VerificationEngine;
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
  /** Why deliveries may not go to this URL, as far as can be told now. */
  checkTarget: (url: URL) => Promise<'blocked_address' | undefined>;
};
