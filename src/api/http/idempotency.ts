import { createHash } from 'node:crypto';
import type { Request } from 'express';
import {
  claimRequest,
  type Earlier,
  type IdempotencyKey,
  RENEW_EVERY_MS,
  renewRequest,
} from '../../db/publish/idempotent-requests';
import { newUuid } from '../../domain/ids';
import { ApiError, PROBLEM_TYPE, problemHeaders, toApiError } from '../errors';
import type { Context, HandlerResult } from '../route';
import { JsonText, toJson } from './json-text';

/** 1 to 255 printable characters of ASCII. */
const KEY = /^[\x20-\x7e]{1,255}$/;

/**
 * The `Idempotency-Key` of a request with a hash of its method, path and body; undefined if it has none. The caller
 * chooses the format of the key (draft-ietf-httpapi-idempotency-key-header).
 * @throws ApiError validation_failed
 */
export function readIdempotencyKey(req: Request, body: Buffer | undefined): IdempotencyKey | undefined {
  const key = req.headers['idempotency-key'] as string | undefined;
  if (key === undefined) return undefined;
  if (!KEY.test(key)) {
    throw new ApiError('validation_failed', 'The Idempotency-Key breaks a rule.', [
      { field: 'Idempotency-Key', rule: 'must be 1 to 255 printable ASCII characters' },
    ]);
  }
  const hash = createHash('sha256').update(`${req.method}\0${req.originalUrl}\0`);
  return { key, requestHash: (body ? hash.update(body) : hash).digest() };
}

/**
 * Serves a request once for its key, and answers repetitions with the first answer. The key is claimed before the handler
 * runs, and its lease is renewed while it runs. If the handler ends with a 5xx or a 429, the claim is released and a
 * repetition is served; if the process dies, a repetition is served when the lease is over.
 * @throws ApiError idempotency_mismatch, idempotency_in_progress, and what the handler throws
 */
export async function answerOnce<Body, Query>(
  context: Context<Body, Query>,
  handler: (context: Context<Body, Query>) => Promise<HandlerResult>,
): Promise<HandlerResult> {
  const { services, tenantId, idempotencyKey } = context;
  if (!idempotencyKey) return handler(context);
  const { pool } = services.db;
  const { key } = idempotencyKey;
  const newId = newUuid();
  const claim = await claimRequest(pool, tenantId, idempotencyKey, newId).catch((error: unknown) => {
    // We stopped waiting for the claim, but Postgres may still commit it.
    void services.settling.release({ tenantId, key, id: newId, claims: 1 });
    throw error;
  });
  if (claim.state !== 'claimed') return answerAgain(context, claim);

  const held = { tenantId, key, id: claim.id, claims: claim.claims };
  const keep = ({ status, body, headers = {} }: HandlerResult) => {
    const text = toJson(body);
    const answer = text === undefined ? null : services.secretBox.seal(text, owner(tenantId, claim.id));
    // The request was carried out, so the caller gets its answer; it is stored for repetitions a little later.
    return services.settling
      .finish(held, { status, answer, headers })
      .catch((error: Error) =>
        services.log.warn({ event: 'answer_not_stored', request_id: context.requestId, err: error.message }),
      );
  };
  const stopRenewing = keepRenewing(() => renewRequest(pool, held));
  try {
    const answer = await handler({ ...context, idempotencyId: claim.id });
    await keep(answer);
    return answer;
  } catch (error) {
    const problem = toApiError(error);
    // A 429 is not stored: the caller is to repeat the same request.
    if (problem.status < 500 && problem.code !== 'rate_limited') {
      const { status } = problem;
      await keep({ status, headers: problemHeaders(problem), body: problem.toProblem(context.requestId) });
    } else {
      const released = services.settling.release(held);
      // Waiting for an unavailable database would only delay the answer.
      if (problem.code !== 'database_unavailable') await released;
    }
    throw error;
  } finally {
    stopRenewing();
  }
}

/** Renews until it is stopped, one renewal after the other: at most one statement waits for the database. */
function keepRenewing(renew: () => Promise<unknown>): () => void {
  let timer: NodeJS.Timeout;
  let stopped = false;
  const later = () => {
    if (!stopped)
      timer = setTimeout(
        () =>
          void renew()
            .catch(() => undefined)
            .finally(later),
        RENEW_EVERY_MS,
      );
  };
  later();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/**
 * The first answer again, byte for byte and with its own headers, and one that says so.
 * @throws ApiError idempotency_mismatch, idempotency_in_progress
 */
export function answerAgain(
  { services, tenantId }: Pick<Context<unknown, unknown>, 'services' | 'tenantId'>,
  earlier: Earlier,
): HandlerResult {
  switch (earlier.state) {
    case 'mismatch':
      throw new ApiError('idempotency_mismatch', 'This Idempotency-Key was used for another path or body.');
    case 'running':
      throw new ApiError('idempotency_in_progress', 'The first request with this Idempotency-Key is not answered yet.');
    case 'done': {
      const { id, status, answer, headers, sealed } = earlier;
      const text = answer !== null && sealed ? services.secretBox.open(answer, owner(tenantId, id)) : answer;
      return {
        status,
        ...(text !== null && { body: new JsonText(text) }),
        headers: {
          ...(status >= 400 && { 'content-type': PROBLEM_TYPE }),
          ...headers,
          'idempotency-replayed': 'true',
        },
      };
    }
  }
}

/** Stored answers are encrypted like secrets, because some contain one; each can be decrypted in its own row only. */
const owner = (tenantId: string, id: string) => ({ tenantId, webhookId: `idempotent-request/${id}` });
