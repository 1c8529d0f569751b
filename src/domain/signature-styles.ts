import { foldHeaderName } from './header-name';
/** Header sets that a webhook's deliveries may carry; `standard` is always sent. */
export const SIGNATURE_STYLES = ['standard', 'x-webhook', 'github', 'stripe'] as const;
export type SignatureStyle = (typeof SIGNATURE_STYLES)[number];

/** The headers that each style adds to those of every delivery, and which of them hold a signature. */
export const STYLE_HEADERS: Record<SignatureStyle, { signature?: string; others: readonly string[] }> = {
  standard: { others: [] },
  'x-webhook': { signature: 'X-Webhook-Signature', others: [] },
  // What GitHub's own middleware asks for (@octokit/webhooks), and the hook, by which receivers of several tell them apart.
  github: { signature: 'X-Hub-Signature-256', others: ['X-GitHub-Event', 'X-GitHub-Delivery', 'X-GitHub-Hook-ID'] },
  stripe: { signature: 'Stripe-Signature', others: [] },
};

/** All that these styles add. */
export const styleHeaderNames = (styles: readonly SignatureStyle[]): string[] =>
  styles.flatMap((style) => {
    const { signature, others } = STYLE_HEADERS[style];
    return signature === undefined ? others : [signature, ...others];
  });

/** An own header that a style sets as well, and that style; undefined if there is none. */
export function styleConflict(
  own: readonly string[],
  styles: readonly SignatureStyle[],
): { name: string; style: SignatureStyle } | undefined {
  for (const style of styles) {
    const taken = styleHeaderNames([style]).map(foldHeaderName);
    const name = own.find((one) => taken.includes(foldHeaderName(one)));
    if (name !== undefined) return { name, style };
  }
  return undefined;
}
