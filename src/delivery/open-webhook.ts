import type { SecretBox } from '../crypto/secret-box';
import type { WebhookFacts } from '../db/queue/load-attempt';
import { type CompiledSignature, compileSignature } from '../egress/compiled-signature';
import { shownNames, withoutSet } from '../egress/headers';
import { type SigningSecrets, toSigningSecrets } from '../egress/secrets';

/** A webhook's secrets and headers in the clear, for the time of an attempt. */
export type OpenedWebhook = {
  secrets: SigningSecrets;
  headers: Record<string, string>;
  /** The webhook's own way to sign, if it has declared one. */
  signature: CompiledSignature | undefined;
  /** The headers whose values the delivery log may show. */
  shown: ReadonlySet<string>;
};

/** What a webhook keeps sealed. */
export type SealedWebhook = Pick<
  WebhookFacts,
  'id' | 'sealedSecrets' | 'sealedHeaders' | 'signatureStyles' | 'signature'
>;

/** Opens what a webhook keeps sealed. @throws if a key is missing from the keyring, or there is no secret */
export function openWebhook(secretBox: SecretBox, tenantId: string, webhook: SealedWebhook): OpenedWebhook {
  const owner = { tenantId, webhookId: webhook.id };
  const styles = webhook.signatureStyles;
  const signature = webhook.signature === null ? undefined : compileSignature(webhook.signature);
  return {
    secrets: toSigningSecrets(
      webhook.sealedSecrets.map(({ sealed, switched }) => ({ secret: secretBox.open(sealed, owner), switched })),
    ),
    headers:
      webhook.sealedHeaders === null
        ? {}
        : withoutSet(
            JSON.parse(secretBox.open(webhook.sealedHeaders, owner)) as Record<string, string>,
            styles,
            signature,
          ),
    signature,
    shown: shownNames(styles, signature),
  };
}
