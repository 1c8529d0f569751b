import { version } from '../../package.json';
import { CLOUDEVENTS_HEADERS } from '../domain/cloudevents-headers';
import type { SignatureStyle } from '../domain/signature-styles';
import { signGitHub, signStandard, signStripe, signXWebhook } from './signatures';

export { customHeaderProblem } from './custom-headers';

export interface HeadersInput {
  /** `evt_…`: the same on every attempt and replay, so that a receiver can drop what it already has. */
  eventId: string;
  /** `del_…` */
  deliveryId: string;
  eventType: string;
  /** Counts from 1. */
  attemptNumber: number;
  /** Whether another attempt follows should this one fail. */
  retryable: boolean;
  timestampSeconds: number;
  body: Buffer;
  /** What the body is: `content-type`, and the attributes of CloudEvents in binary mode. */
  bodyHeaders: Record<string, string>;
  /** `whsec_…`, the current one first. Headers that hold a single signature are signed with the first. */
  secrets: string[];
  styles: readonly SignatureStyle[];
  /** The webhook's own headers, each accepted by `customHeaderProblem` when it was set. */
  custom: Record<string, string>;
}

const USER_AGENT = `Posthorn/${version}`;
const ANY_TYPE = '*/*';

/** Some receivers refuse a request that does not say what it accepts. A webhook's own header says more. */
function acceptOf(custom: Record<string, string>): { accept?: string } {
  for (const name in custom) if (name.length === 6 && name.toLowerCase() === 'accept') return {};
  return { accept: ANY_TYPE };
}

/**
 * The request headers of one attempt: Standard Webhooks 1.0.0, the X-Webhook set, and the signatures asked for.
 * `accept-encoding: identity` because a response is kept as it came and never inflated.
 * @throws Error when there is no secret or one is not valid
 */
export function buildHeaders(input: HeadersInput): Record<string, string> {
  const { secrets, timestampSeconds, body } = input;
  const current = secrets[0];
  if (current === undefined) throw new Error('A delivery needs at least one signing secret');
  const timestamp = String(timestampSeconds);
  const headers: Record<string, string> = {
    ...acceptOf(input.custom),
    ...without(input.custom, input.bodyHeaders),
    ...input.bodyHeaders,
    'user-agent': USER_AGENT,
    'accept-encoding': 'identity',
    'webhook-id': input.eventId,
    'webhook-timestamp': timestamp,
    'webhook-signature': signStandard({ secrets, id: input.eventId, timestampSeconds, body }),
    'X-Webhook-ID': input.eventId,
    'X-Webhook-Timestamp': timestamp,
    'X-Webhook-Event': input.eventType,
    'X-Webhook-Attempt': String(input.attemptNumber),
    'X-Webhook-Delivery': input.deliveryId,
    'X-Webhook-Retryable': String(input.retryable),
  };
  for (const style of input.styles) {
    switch (style) {
      case 'standard':
        break;
      case 'x-webhook':
        headers['X-Webhook-Signature'] = signXWebhook(current, body);
        break;
      case 'github':
        headers['X-Hub-Signature-256'] = signGitHub(current, body);
        break;
      case 'stripe':
        headers['Stripe-Signature'] = signStripe({ secrets, timestampSeconds, body });
        break;
      default:
        throw new Error(`Unknown signature style: ${style satisfies never}`);
    }
  }
  return headers;
}

/**
 * Own headers whose names are not set by the body: some may have been given before those were reserved, and a field must
 * not be sent twice.
 */
function without(custom: Record<string, string>, body: Record<string, string>): Record<string, string> {
  if (!('ce-id' in body)) return custom;
  return Object.fromEntries(Object.entries(custom).filter(([name]) => !(name.toLowerCase() in body)));
}

/**
 * The request headers of an endpoint verification: the webhook's own, and for a POST the signature of Standard
 * Webhooks, so that an endpoint that checks every request can check this one.
 * @throws Error when a secret is not valid
 */
export function buildChallengeHeaders({ custom, signed }: ChallengeHeadersInput): Record<string, string> {
  return {
    ...acceptOf(custom),
    ...custom,
    'user-agent': USER_AGENT,
    'accept-encoding': 'identity',
    ...(signed && {
      'content-type': 'application/json',
      'webhook-id': signed.id,
      'webhook-timestamp': String(signed.timestampSeconds),
      'webhook-signature': signStandard(signed),
    }),
  };
}

export interface ChallengeHeadersInput {
  custom: Record<string, string>;
  /** Of a request with a body. */
  signed?: { id: string; timestampSeconds: number; body: Buffer; secrets: string[] };
}

const REDACTED = '[redacted]';
/** Ours, as we write them, and neither a secret nor derived from one. Everything else may hold a credential. */
const SHOWN_IN_THE_LOG = new Set([
  'content-type',
  'user-agent',
  'accept-encoding',
  'webhook-id',
  'webhook-timestamp',
  'X-Webhook-ID',
  'X-Webhook-Timestamp',
  'X-Webhook-Event',
  'X-Webhook-Attempt',
  'X-Webhook-Delivery',
  'X-Webhook-Retryable',
  ...CLOUDEVENTS_HEADERS,
]);

/** The request headers as the delivery log may show them: custom values and signatures read `[redacted]`. */
export function redactHeaders(headers: Record<string, string>): Record<string, string> {
  const redacted: Record<string, string> = {};
  for (const name in headers) {
    const shown = SHOWN_IN_THE_LOG.has(name) || (name === 'accept' && headers[name] === ANY_TYPE);
    redacted[name] = shown ? headers[name]! : REDACTED;
  }
  return redacted;
}
