/** Header sets that a webhook's deliveries may carry; `standard` is always sent. */
export const SIGNATURE_STYLES = ['standard', 'x-webhook', 'github', 'stripe'] as const;
export type SignatureStyle = (typeof SIGNATURE_STYLES)[number];
