import { createHmac, type Hmac } from 'node:crypto';
import type { SigningSecret } from './secrets';

/**
 * The `webhook-signature` header of Standard Webhooks 1.0.0: for each secret `v1,` and the base64 HMAC-SHA256 of
 * `id.timestamp.body`, separated by spaces. During a rotation the old and the new secret both sign.
 * @param input.timestampSeconds unix seconds of this attempt
 */
export function signStandard(input: StandardInput): string {
  const prefix = `${input.id}.${input.timestampSeconds}.`;
  return input.secrets.map(({ standard }) => `v1,${hmac(standard, prefix, input.body).digest('base64')}`).join(' ');
}

export type StandardInput = {
  secrets: readonly SigningSecret[];
  id: string;
  timestampSeconds: number;
  body: Buffer;
};

/**
 * `X-Webhook-Signature`: `sha256=` and the hex HMAC-SHA256 of the body, keyed with the whole secret string as UTF-8.
 * Weaker than {@link signStandard}: the id and the time are not signed, so a captured request can be replayed.
 */
export function signXWebhook({ text }: SigningSecret, body: Buffer): string {
  return `sha256=${hmac(text, '', body).digest('hex')}`;
}

/** GitHub's `X-Hub-Signature-256` (docs.github.com, "Validating webhook deliveries"): the same bytes as X-Webhook. */
export function signGitHub(secret: SigningSecret, body: Buffer): string {
  return signXWebhook(secret, body);
}

/**
 * Stripe's `Stripe-Signature` (docs.stripe.com/webhooks, "Verify manually"): `t=<unix>` and for each secret `v1=` with
 * the hex HMAC-SHA256 of `t.body`, keyed with the whole secret string as UTF-8.
 */
export function signStripe(input: Omit<StandardInput, 'id'>): string {
  const prefix = `${input.timestampSeconds}.`;
  const signatures = input.secrets.map(({ text }) => `,v1=${hmac(text, prefix, input.body).digest('hex')}`);
  return `t=${input.timestampSeconds}${signatures.join('')}`;
}

function hmac(key: Buffer, prefix: string, body: Buffer): Hmac {
  return createHmac('sha256', key).update(prefix).update(body);
}
