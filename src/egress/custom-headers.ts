import { CLOUDEVENTS_HEADERS } from '../domain/cloudevents-headers';
import { foldHeaderName } from '../domain/header-name';

const MAX_NAME_LENGTH = 128;
/** Receivers commonly refuse header blocks past 8 KiB in total; no useful credential is longer than this. */
const MAX_VALUE_LENGTH = 4096;

/** RFC 9110 5.6.2. */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 5.5, of which we take US-ASCII only: no CR, LF, NUL or other control characters, tab excepted. */
export const FIELD_VALUE = /^[\t\x20-\x7e]*$/;

const RESERVED_PREFIXES = ['webhook-', 'x-webhook-', 'proxy-'];
const RESERVED_NAMES = new Set([
  // Message framing and routing, RFC 9110 7 and RFC 9112: the connection is ours.
  ...['host', 'content-length', 'connection', 'keep-alive', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect'],
  // Posthorn's own: what was signed, how it may be answered, who sent it.
  ...['content-type', 'content-encoding', 'accept-encoding', 'user-agent'],
  // Of CloudEvents in binary mode, without its extensions.
  ...CLOUDEVENTS_HEADERS,
  // Signatures: a tenant could otherwise pass off a signature that was never computed.
  ...['x-hub-signature', 'x-hub-signature-256', 'stripe-signature', 'signature', 'signature-input'],
]);

/**
 * Why a tenant may not set this header on its deliveries, as a sentence to show, or undefined when it may.
 * Names are compared as {@link foldHeaderName} writes them: `X_Webhook_Id` would overwrite `x-webhook-id` there. The value is never repeated in the answer.
 */
export function customHeaderProblem(name: string, value: string): string | undefined {
  if (!TOKEN.test(name)) return 'the header name is not a valid HTTP token';
  if (name.length > MAX_NAME_LENGTH) return `the header name is longer than ${MAX_NAME_LENGTH} characters`;
  const lower = name.toLowerCase();
  const folded = foldHeaderName(name);
  if (RESERVED_NAMES.has(folded) || RESERVED_PREFIXES.some((prefix) => folded.startsWith(prefix))) {
    if (folded === lower) return `the header "${lower}" is set by Posthorn`;
    return `the header "${lower}" is "${folded}" to many receivers, which is set by Posthorn`;
  }
  if (!FIELD_VALUE.test(value)) return `the value of "${lower}" may hold printable ASCII characters only`;
  if (value.length > MAX_VALUE_LENGTH) return `the value of "${lower}" is longer than ${MAX_VALUE_LENGTH} characters`;
  return undefined;
}
