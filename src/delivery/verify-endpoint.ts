import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { TenantSlots } from '../concurrency/tenant-slots';
import type { SecretBox } from '../crypto/secret-box';
import type { Database } from '../db/database';
import {
  type Challenged,
  endVerification,
  loadVerification,
  type VerificationOutcome,
} from '../db/store/verifications';
import { newUuid, toPublicId } from '../domain/ids';
import { VERIFICATION_METHODS, type VerificationMethod } from '../domain/verification';
import { buildBareHeaders, buildChallengeHeaders, JSON_BODY } from '../egress/headers';
import type { Sender } from '../egress/send';
import type { SendRequest, SendResult } from '../egress/types';
import type { Log } from '../log';
import { type OpenedWebhook, openWebhook } from './open-webhook';
import { NoCapacity } from './retry-capacity';

export type VerifierDeps = {
  db: Database;
  secretBox: SecretBox;
  sender: Sender;
  log: Log;
  /** The value of `WebHook-Request-Origin`: this installation's name, as endpoints know it. */
  origin: string;
};

/** Rounds of one tenant that a worker may have under way while no other tenant has any; each takes 12 s at most. */
export const MAX_CHALLENGES = 50;
/** Limit of each method; all three together stay below what a caller with `wait` waits for (15 s). */
const TIMEOUT_MS = 4_000;
/** 64 characters, 384 bits: nobody guesses it. */
const CHALLENGE_BYTES = 48;

/** The type in the body of a challenge. */
const CHALLENGE_TYPE = 'url_verification';

/** What was wrong with an endpoint's answer. */
export type VerificationError = 'unexpected_status' | 'wrong_challenge';

/** Makes one round: tries the methods in order until one works, and records the outcome. @throws for a fault of our own */
export function createVerifier({ db, secretBox, sender, log, origin }: VerifierDeps) {
  const slots = new TenantSlots(MAX_CHALLENGES);
  return async function verify(webhookId: string, round: number): Promise<void> {
    const facts = await loadVerification(db.kysely, webhookId, round);
    if (!facts) return;
    // Temporal retries the activity in a moment.
    if (!slots.mayTake(facts.tenantId)) throw new NoCapacity(false);
    slots.take(facts.tenantId);
    await makeRound(facts, round).finally(() => slots.release(facts.tenantId));
  };

  async function makeRound({ tenantId, webhook }: Challenged, round: number): Promise<void> {
    const opened = openWebhook(secretBox, tenantId, webhook);

    const outcome = await tryMethods(async (method) => {
      const challenge = randomBytes(CHALLENGE_BYTES).toString('base64url');
      const request = toRequest(method, { webhook, tenantId, challenge, origin, opened });
      return judge(method, await sender.send(request), { challenge, origin });
    });
    await endVerification(db.kysely, webhook.id, round, outcome);
    log.info({
      event: 'verification',
      webhook_id: toPublicId('webhook', webhook.id),
      tenant_id: toPublicId('tenant', tenantId),
      ...outcome,
    });
  }
}

type Judgement = { ok: true } | { ok: false; error: string; final: boolean };

/** The first method that works; else the error of the first one, which is the one that endpoints should support. */
async function tryMethods(attempt: (method: VerificationMethod) => Promise<Judgement>): Promise<VerificationOutcome> {
  let error: string | undefined;
  for (const method of VERIFICATION_METHODS) {
    const judgement = await attempt(method);
    if (judgement.ok) return { method };
    error ??= judgement.error;
    if (judgement.final) break;
  }
  return { error: error! };
}

type Challenge = {
  webhook: Challenged['webhook'];
  tenantId: string;
  challenge: string;
  origin: string;
  opened: OpenedWebhook;
};

function toRequest(method: VerificationMethod, given: Challenge): SendRequest {
  const { webhook, tenantId, challenge, origin, opened } = given;
  const { url } = webhook;
  const custom = opened.headers;
  const timeoutMs = TIMEOUT_MS;
  switch (method) {
    case 'post': {
      const body = Buffer.from(JSON.stringify({ type: CHALLENGE_TYPE, challenge }));
      const timestampMs = Date.now();
      const uuid = newUuid(timestampMs);
      const id = `msg_${uuid.replaceAll('-', '')}`;
      const headers = buildChallengeHeaders({
        eventId: id,
        eventUuid: uuid,
        deliveryId: id,
        deliveryUuid: uuid,
        webhookId: toPublicId('webhook', webhook.id),
        eventType: CHALLENGE_TYPE,
        attemptNumber: 1,
        retryable: false,
        timestampSeconds: Math.floor(timestampMs / 1_000),
        timestampMs,
        body,
        bodyHeaders: JSON_BODY,
        secrets: opened.secrets,
        styles: webhook.signatureStyles,
        signature: opened.signature,
        custom,
      });
      return { url, tenantId, method: 'POST', headers, body, timeoutMs };
    }
    case 'get':
      return {
        url: withChallenge(url, challenge),
        tenantId,
        method: 'GET',
        headers: buildBareHeaders(custom),
        timeoutMs,
      };
    case 'options': {
      const headers = { ...buildBareHeaders(custom), 'WebHook-Request-Origin': origin };
      return { url, tenantId, method: 'OPTIONS', headers, timeoutMs };
    }
  }
}

/** The URL with one more parameter; the query that it has is left as it was written. */
function withChallenge(url: string, challenge: string): string {
  const target = new URL(url);
  target.search = `${target.search === '' ? '?' : `${target.search}&`}challenge=${challenge}`;
  return target.href;
}

function judge(
  method: VerificationMethod,
  result: SendResult,
  expected: { challenge: string; origin: string },
): Judgement {
  if (result.kind === 'error') {
    // No connection, or a forbidden address: another method would end the same way. Only a slow or broken answer may be this method's.
    return { ok: false, error: result.code, final: result.stage !== 'timeout' && result.stage !== 'response' };
  }
  const wrong = (error: VerificationError): Judgement => ({ ok: false, error, final: false });
  // Redirects too: they are not followed.
  if (result.statusCode < 200 || result.statusCode > 299) return wrong('unexpected_status');
  if (method === 'options') {
    // CloudEvents' Web Hooks 1.0, 4.2: the origin asked for, or an asterisk.
    const allowed = result.headers['webhook-allowed-origin']?.trim();
    return allowed === '*' || allowed?.toLowerCase() === expected.origin.toLowerCase()
      ? { ok: true }
      : wrong('wrong_challenge');
  }
  if (result.bodyCut !== null) return wrong('wrong_challenge');
  const answered = challengeIn(result.body.toString('utf8'), method);
  return answered !== undefined && isSame(answered, expected.challenge) ? { ok: true } : wrong('wrong_challenge');
}

/** The bare text; for `post` also the member `challenge` of a JSON object. */
function challengeIn(body: string, method: VerificationMethod): string | undefined {
  if (method === 'post' && body.trimStart().startsWith('{')) {
    try {
      const { challenge } = JSON.parse(body) as { challenge?: unknown };
      return typeof challenge === 'string' ? challenge : undefined;
    } catch {
      return undefined;
    }
  }
  return body.trim();
}

/** In constant time, whatever the lengths are. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
