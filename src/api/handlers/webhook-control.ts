import type { z } from 'zod';
import { findDelivery, findHead } from '../../db/store/deliveries';
import { type GateMove, moveGate } from '../../db/store/gates';
import { listSecrets, rotateSecret } from '../../db/store/webhook-secrets';
import { findWebhook } from '../../db/store/webhooks';
import { formatDuration } from '../../domain/durations';
import { toPublicId } from '../../domain/ids';
import { audited } from '../audited';
import { cancelNow } from '../delivery-commands';
import { ApiError, notFound } from '../errors';
import { secretFrom } from '../given-secret';
import type { Context, HandlerResult } from '../route';
import type { rotateSecretBody } from '../schemas/webhooks';
import { webhookResult } from '../webhook-out';

type None = undefined;

/** Commands for a whole webhook. While its gate holds, its deliveries wait unchanged; they go on when it passes. */
export const pause = move('pause', { to: 'paused', from: ['active', 'paused'] });
/** Also closes an open breaker and ends throttling: an operator who resumes knows that the endpoint is healthy. */
export const resume = move('resume', { to: 'active', from: ['paused', 'active'] });
export const disable = move('disable', { to: 'disabled', from: ['active', 'paused', 'disabled'] });
export const enable = move('enable', { to: 'active', from: ['disabled', 'active'] });

function move(name: string, gateMove: GateMove) {
  return async (context: Context<unknown, None>): Promise<HandlerResult> => {
    const { services, tenantId, ids } = context;
    const id = ids.webhook!;
    // Thrown inside the transaction, so that no line in the audit log remains of a refused command.
    const moved = await audited(context, `webhook.${name}`, toPublicId('webhook', id), async (tx) => {
      const before = await moveGate(tx, tenantId, id, gateMove);
      if (before === undefined || gateMove.from.includes(before)) return before;
      throw new ApiError('state_conflict', `A webhook that is ${before} cannot be ${name}d. ${HINTS[before] ?? ''}`);
    });
    if (!moved) throw notFound('webhook');
    services.notifyWork();
    const webhook = await findWebhook(services.db.kysely, tenantId, id);
    if (!webhook) throw notFound('webhook');
    return webhookResult(200, webhook);
  };
}

const HINTS: Record<string, string> = {
  disabled: 'Enable it instead.',
  paused: 'Resume it instead.',
};

/** Cancels the delivery that an ordered webhook waits for, so that the next one is attempted. */
export async function skipHead({ services, tenantId, actor, ids }: Context<unknown, None>): Promise<HandlerResult> {
  const { kysely } = services.db;
  const webhook = await findWebhook(kysely, tenantId, ids.webhook!);
  if (!webhook) throw notFound('webhook');
  if (!webhook.ordered) throw new ApiError('state_conflict', 'Only an ordered webhook waits for its first delivery.');
  const headId = await findHead(kysely, tenantId, webhook.id);
  const head = headId && (await findDelivery(kysely, tenantId, headId));
  if (!head) throw new ApiError('state_conflict', 'Nothing is waiting.');
  await cancelNow(services, head, { tenantId, actor });
  return { status: 202, body: { skipped: toPublicId('delivery', head.id) } };
}

/** The signing secret, for keys with the scope `manage`; and until when earlier secrets sign as well. */
export async function getSecret(context: Context<None, None>): Promise<HandlerResult> {
  const { services, tenantId, ids } = context;
  const webhookId = ids.webhook!;
  const secrets = await audited(context, 'webhook.secret.read', toPublicId('webhook', webhookId), async (tx) =>
    (await findWebhook(tx, tenantId, webhookId)) ? listSecrets(tx, webhookId) : undefined,
  );
  const [current, ...previous] = secrets ?? [];
  if (!current) throw notFound('webhook');
  return {
    status: 200,
    headers: { 'cache-control': 'no-store' },
    body: {
      secret: services.secretBox.open(current.sealed, { tenantId, webhookId }),
      created_at: current.createdAt,
      switch_at: current.switchAt,
      previous: previous.map(({ createdAt, expiresAt }) => ({ created_at: createdAt, expires_at: expiresAt })),
    },
  };
}

/**
 * A new secret signs from now on, and earlier ones as well until they expire. Styles that carry one signature go on with
 * the one before until the switch.
 */
export async function rotate(context: Context<z.output<typeof rotateSecretBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, ids, body } = context;
  const webhookId = ids.webhook!;
  requireWithinGrace(body);
  const { secret, ...warned } = secretFrom(services, body.secret);
  const sealed = services.secretBox.seal(secret, { tenantId, webhookId });
  const rotated = await audited(context, 'webhook.secret.rotate', toPublicId('webhook', webhookId), async (tx) => {
    if (!(await findWebhook(tx, tenantId, webhookId))) return undefined;
    return rotateSecret(tx, webhookId, sealed, { graceMs: body.grace, switchAt: body.switch_at });
  });
  if (!rotated) throw notFound('webhook');
  return {
    status: 200,
    headers: { 'cache-control': 'no-store' },
    body: { secret, previous_sign_until: rotated.previousSignUntil, switch_at: rotated.switchAt, ...warned },
  };
}

/** @throws ApiError validation_failed if the old secret would have ended before the switch */
function requireWithinGrace({ grace, switch_at }: z.output<typeof rotateSecretBody>): void {
  if (!switch_at || switch_at.getTime() <= Date.now() + grace) return;
  const rule = `must not be after the end of the grace, which is ${formatDuration(grace)} from now`;
  throw new ApiError('validation_failed', 'The old secret ends before the switch.', [{ field: 'switch_at', rule }]);
}
