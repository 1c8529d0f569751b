import type { z } from 'zod';
import { listSecrets } from '../../db/store/webhook-secrets';
import { findWebhook } from '../../db/store/webhooks';
import type { DeclaredSignature } from '../../domain/declared-signature';
import { envelope } from '../../domain/envelope';
import { newUuid, toPublicId } from '../../domain/ids';
import type { SignatureStyle } from '../../domain/signature-styles';
import { compileSignature } from '../../egress/compiled-signature';
import { buildHeaders, type HeadersInput, JSON_BODY, withoutSet } from '../../egress/headers';
import { generateSecret, type SigningSecrets, toSigningSecrets } from '../../egress/secrets';
import { audited } from '../audited';
import { notFound } from '../errors';
import type { Context, HandlerResult } from '../route';
import type { sampleBody } from '../schemas/signature-sample';
import { DEFAULT_STYLES, REDACTED_VALUE } from '../schemas/webhook-policies';

type None = undefined;
type Asked = z.output<typeof sampleBody>;
type Signing = { styles: readonly SignatureStyle[]; signature: DeclaredSignature | null };

/** A dry run: the headers and the body that a webhook with these settings would get. Nothing is stored or sent. */
export async function sample({ body }: Context<Asked, None>): Promise<HandlerResult> {
  const secret = body.secret ?? generateSecret();
  const made = makeSample(body, {
    ...signingOf(body, { styles: DEFAULT_STYLES, signature: null }),
    secrets: toSigningSecrets([{ secret, switched: true }]),
    webhookUuid: newUuid(),
    headerNames: [],
  });
  return answer({ ...made, ...(body.secret === undefined && { secret }) });
}

/** The same for a webhook: its settings and secrets, but for what the request names. In the audit log, for it signs. */
export async function sampleOfWebhook(context: Context<Asked, None>): Promise<HandlerResult> {
  const { services, tenantId, ids, body } = context;
  const webhookId = ids.webhook!;
  const found = await audited(context, 'webhook.sample', toPublicId('webhook', webhookId), async (tx) => {
    const webhook = await findWebhook(tx, tenantId, webhookId);
    return webhook && { webhook, stored: await listSecrets(tx, webhookId) };
  });
  if (!found) throw notFound('webhook');
  const { webhook, stored } = found;
  const own = stored.map(({ sealed, switchAt }) => ({
    secret: services.secretBox.open(sealed, { tenantId, webhookId }),
    switched: switchAt === null,
  }));
  const settings = signingOf(body, { styles: webhook.signatureStyles, signature: webhook.signature });
  return answer(
    makeSample(body, {
      ...settings,
      secrets: toSigningSecrets(body.secret === undefined ? own : [{ secret: body.secret, switched: true }]),
      webhookUuid: webhookId,
      headerNames: webhook.headerNames,
    }),
  );
}

const answer = (body: object): HandlerResult => ({ status: 200, headers: { 'cache-control': 'no-store' }, body });

function signingOf({ signature_styles, signature }: Asked, otherwise: Signing): Signing {
  return {
    styles: signature_styles ?? otherwise.styles,
    signature: signature === undefined ? otherwise.signature : signature,
  };
}

type Given = Signing & { secrets: SigningSecrets; webhookUuid: string; headerNames: readonly string[] };

function makeSample(asked: Asked, { styles, signature, secrets, webhookUuid, headerNames }: Given) {
  const time = asked.timestamp ?? new Date();
  // No uuid has a time before 1970.
  const madeAtMs = Math.max(0, time.getTime());
  const [eventUuid, deliveryUuid] = [newUuid(madeAtMs), newUuid(madeAtMs)];
  const eventType = asked.event_type ?? 'order.created';
  const body =
    asked.body === undefined
      ? envelope({ id: eventUuid, type: eventType, version: '1.0', createdAt: time, data: '{"order_id":"ord_1001"}' })
      : Buffer.from(asked.body);
  const compiled = signature === null ? undefined : compileSignature(signature);
  const own = Object.fromEntries(headerNames.map((name) => [name, REDACTED_VALUE]));
  const input: HeadersInput = {
    eventId: asked.id ?? toPublicId('event', eventUuid),
    eventUuid,
    deliveryId: toPublicId('delivery', deliveryUuid),
    deliveryUuid,
    webhookId: toPublicId('webhook', webhookUuid),
    eventType,
    attemptNumber: asked.attempt ?? 1,
    retryable: true,
    timestampSeconds: Math.floor(time.getTime() / 1_000),
    timestampMs: time.getTime(),
    body,
    bodyHeaders: JSON_BODY,
    secrets,
    styles,
    signature: compiled,
    custom: withoutSet(own, styles, compiled),
  };
  return {
    headers: buildHeaders(input),
    body: body.toString('utf8'),
    signed: compiled?.signedText(input).toString('utf8') ?? null,
  };
}
