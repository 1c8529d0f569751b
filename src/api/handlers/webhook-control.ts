import type { z } from 'zod';
import { findDelivery, findHead } from '../../db/store/deliveries';
import { type GateMove, moveGate } from '../../db/store/gates';
import { listSecrets, rotateSecret } from '../../db/store/webhook-secrets';
import { findWebhook } from '../../db/store/webhooks';
import { toPublicId } from '../../domain/ids';
import { generateSecret } from '../../egress/signatures';
import { audited } from '../audited';
import { cancelNow } from '../delivery-commands';
import { ApiError, notFound } from '../errors';
import type { Context, HandlerResult } from '../route';
import type { rotateSecretBody } from '../schemas/webhooks';
import { webhookResult } from '../webhook-out';

type None = undefined;

/** What operators do to a whole webhook. Deliveries wait behind a shut gate as they are, and flow once it opens. */
export const pause = move('pause', { to: 'paused', from: ['active', 'paused'] });
/** Also closes a breaker that is open, and ends throttling: whoever resumes knows the endpoint to be well. */
export const resume = move('resume', { to: 'active', from: ['paused', 'active'] });
export const disable = move('disable', { to: 'disabled', from: ['active', 'paused', 'disabled'] });
export const enable = move('enable', { to: 'active', from: ['disabled', 'active'] });

function move(name: string, gateMove: GateMove) {
  return async (context: Context<unknown, None>): Promise<HandlerResult> => {
    const { services, tenantId, ids } = context;
    const id = ids.webhook!;
    // Thrown in there, a refusal takes its line in the audit log back.
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

/** Cancels the delivery that an ordered webhook is waiting for, so that the next one goes. */
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

/** The secret that signs, for whoever may manage the webhook; and until when those before it sign as well. */
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
      previous: previous.map(({ createdAt, expiresAt }) => ({ created_at: createdAt, expires_at: expiresAt })),
    },
  };
}

/** A new secret signs from now on; those before it sign along until their time is over. */
export async function rotate(context: Context<z.output<typeof rotateSecretBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, ids, body } = context;
  const webhookId = ids.webhook!;
  const secret = body.secret ?? generateSecret();
  const sealed = services.secretBox.seal(secret, { tenantId, webhookId });
  const rotated = await audited(context, 'webhook.secret.rotate', toPublicId('webhook', webhookId), async (tx) => {
    if (!(await findWebhook(tx, tenantId, webhookId))) return false;
    await rotateSecret(tx, webhookId, sealed, body.grace);
    return true;
  });
  if (!rotated) throw notFound('webhook');
  const previousEndAt = new Date(Date.now() + body.grace);
  return {
    status: 200,
    headers: { 'cache-control': 'no-store' },
    body: { secret, previous_sign_until: previousEndAt },
  };
}
