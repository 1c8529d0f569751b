import { setTimeout as sleep } from 'node:timers/promises';
import { TenantSlots } from '../concurrency/tenant-slots';
import type { SecretBox } from '../crypto/secret-box';
import type { Database } from '../db/database';
import type { AttemptRecord } from '../db/queue/record-attempts';
import { endTest, type LoadedTest, loadTest } from '../db/store/webhook-tests';
import { toPublicId } from '../domain/ids';
import { TEST_HEADER } from '../domain/webhook-test';
import type { Sender } from '../egress/send';
import type { Log } from '../log';
import { openWebhook } from './open-webhook';
import { postAttempt } from './post-attempt';
import { NoCapacity } from './retry-capacity';

export type WebhookTesterDeps = { db: Database; secretBox: SecretBox; sender: Sender; log: Log };

/** Tests that a worker may have under way of one tenant while no other tenant has any. */
export const MAX_TESTS = 50;
/** Recording is tried so often; a test whose POST could not be recorded is made again, under the same ids. */
const RECORD_TRIES = 10;
const RECORD_RETRY_MS = 500;
/** One attempt, whatever the webhook's policy: nothing follows should it fail. */
const ONE_ATTEMPT = { schedule_ms: [] };
/** Nobody else makes it: no row of the queue is held. */
const NO_HOLDER = 0;

/**
 * Makes the attempt of a test: signed and sent as a delivery's, through the same address policy, and recorded where nothing
 * counts it. The webhook's gate is neither asked nor told. @throws for a fault of our own, before anything was sent, or while
 * writes fail
 */
export function createWebhookTester({ db, secretBox, sender, log }: WebhookTesterDeps) {
  const slots = new TenantSlots(MAX_TESTS);
  return async function test(testId: string): Promise<void> {
    const facts = await loadTest(db.kysely, testId);
    if (!facts) return;
    // Temporal retries the activity in a moment.
    if (!slots.mayTake(facts.tenantId)) throw new NoCapacity(false);
    slots.take(facts.tenantId);
    await make(facts).finally(() => slots.release(facts.tenantId));
  };

  async function make({ id, tenantId, eventType, body, webhook }: LoadedTest): Promise<void> {
    const opened = openWebhook(secretBox, tenantId, webhook);
    const sendable = {
      ...{ tenantId, eventId: id, eventType, body },
      webhook: { ...webhook, retryPolicy: ONE_ATTEMPT },
      queue: NEVER_QUEUED,
    };
    const request = { deliveryId: id, number: 1, cause: 'claimed' } as const;
    const { record } = await postAttempt(
      sender,
      sendable,
      request,
      { ...opened, headers: { ...opened.headers, ...TEST_HEADER } },
      { path: 'workflow', holder: NO_HOLDER, mayGo: () => true },
    );
    await recordWithRetry({ ...record, attemptId: id });
    log.info({
      event: 'webhook_test',
      attempt_id: toPublicId('attempt', id),
      webhook_id: toPublicId('webhook', webhook.id),
      tenant_id: toPublicId('tenant', tenantId),
      status_code: record.statusCode,
      error_code: record.errorCode,
      duration_ms: record.durationMs,
    });
  }

  async function recordWithRetry(record: AttemptRecord): Promise<void> {
    for (let left = RECORD_TRIES; ; left--) {
      try {
        return await endTest(db.kysely, record);
      } catch (error) {
        if (left <= 1) throw error;
        await sleep(RECORD_RETRY_MS);
      }
    }
  }
}

/** Where an attempt would stand in its schedule. */
const NEVER_QUEUED: LoadedQueue = {
  timed: false,
  waits: false,
  remainingMs: 0,
  attempt: 0,
  step: 0,
  elapsedMs: 0,
  trigger: 'test',
  heldBy: 'nobody',
  inQueue: null,
  cancelAsked: false,
  movedAway: false,
  moves: 0,
};
type LoadedQueue = Parameters<typeof postAttempt>[1]['queue'];
