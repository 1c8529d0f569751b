import type { z } from 'zod';
import { beginVerification, endVerification } from '../../db/store/verifications';
import { findWebhook } from '../../db/store/webhooks';
import { toPublicId } from '../../domain/ids';
import { reasonOf } from '../../log';
import { audited } from '../audited';
import { ApiError, notFound } from '../errors';
import type { Context, HandlerResult } from '../route';
import type { waitQuery } from '../schemas/webhooks';
import type { Services } from '../services';
import { webhookResult } from '../webhook-out';

/** Stored as the error of a round whose workflow could not be started. */
const NOT_STARTED = 'workflow_engine_unavailable';

/** Starts a round of verification, unless one is under way. With `wait=true` it answers when the round has ended. */
export async function verify(context: Context<unknown, z.output<typeof waitQuery>>): Promise<HandlerResult> {
  const { services, tenantId, ids, query } = context;
  const id = ids.webhook!;
  // Before the round begins: a request that may not wait starts nothing.
  const place = query.wait ? services.verificationWaits.enter(tenantId) : undefined;
  try {
    const round = await services.changes.run(tenantId, () =>
      audited(context, 'webhook.verify', toPublicId('webhook', id), (tx) => beginVerification(tx, tenantId, id)),
    );
    if (round !== undefined && !(await startRound(services, tenantId, id, round))) {
      throw new ApiError(
        'workflow_engine_unavailable',
        'The workflow engine cannot be reached. Try again in a moment.',
      );
    }
    // With a permit: many rounds that end together would otherwise be read at once.
    const read = () => services.reads.run(tenantId, () => findWebhook(services.db.kysely, tenantId, id));
    let webhook = await read();
    if (place && webhook?.verification.pending) {
      await place.untilEnded(id, context.gone);
      webhook = await read();
    }
    if (!webhook) throw notFound('webhook');
    return webhookResult(webhook.verification.pending ? 202 : 200, webhook);
  } finally {
    place?.leave();
  }
}

/** Starts the workflow of a round that is in the database. Returns false if it cannot, and stores that as the round's end. */
export async function startRound(
  services: Services,
  tenantId: string,
  webhookId: string,
  round: number,
): Promise<boolean> {
  try {
    await services.verificationWorkflows.start({ tenantId, webhookId, round });
    return true;
  } catch (error) {
    const webhook_id = toPublicId('webhook', webhookId);
    services.log.warn({ event: 'verification_not_started', webhook_id, err: reasonOf(error) });
    await endVerification(services.db.kysely, webhookId, round, { error: NOT_STARTED });
    return false;
  }
}
