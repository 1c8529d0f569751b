import { version } from '../../package.json';
import { CLOUDEVENTS_HEADERS } from '../domain/cloudevents-headers';
import { foldHeaderName } from '../domain/header-name';
import { type SignatureStyle, STYLE_HEADERS, styleHeaderNames } from '../domain/signature-styles';
import type { CompiledSignature } from './compiled-signature';
import type { SigningSecrets } from './secrets';
import { signGitHub, signStandard, signStripe, signXWebhook } from './signatures';

export { customHeaderProblem } from './custom-headers';

/** Of a body that is JSON. */
export const JSON_BODY = { 'content-type': 'application/json' };

export interface HeadersInput {
  /** `evt_…`: the same on every attempt and replay, so that a receiver can drop what it already has. */
  eventId: string;
  /** The same as a uuid, which has the event's time in it. */
  eventUuid: string;
  /** `del_…` */
  deliveryId: string;
  /** The same as a uuid. */
  deliveryUuid: string;
  /** `wh_…` */
  webhookId: string;
  eventType: string;
  /** Counts from 1. */
  attemptNumber: number;
  /** Whether another attempt follows should this one fail. */
  retryable: boolean;
  timestampSeconds: number;
  /** The same time in milliseconds. */
  timestampMs: number;
  body: Buffer;
  /** What the body is: `content-type`, and the attributes of CloudEvents in binary mode. */
  bodyHeaders: Record<string, string>;
  secrets: SigningSecrets;
  styles: readonly SignatureStyle[];
  /** The webhook's own way to sign. */
  signature?: CompiledSignature | undefined;
  /** The webhook's own headers, each accepted by `customHeaderProblem` when it was set, {@link withoutSet}. */
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
 */
export function buildHeaders(input: HeadersInput): Record<string, string> {
  const headers = signedHeaders(input);
  headers['X-Webhook-Event'] = input.eventType;
  headers['X-Webhook-Attempt'] = String(input.attemptNumber);
  headers['X-Webhook-Delivery'] = input.deliveryId;
  headers['X-Webhook-Retryable'] = String(input.retryable);
  addStyles(headers, input);
  return headers;
}

/**
 * The request headers of an endpoint verification by POST: signed in every style of the webhook, so that an endpoint that
 * checks each request can check this one. It is no delivery, and has none of the X-Webhook headers that say which one.
 */
export function buildChallengeHeaders(input: HeadersInput): Record<string, string> {
  const headers = signedHeaders(input);
  addStyles(headers, input);
  return headers;
}

function signedHeaders({
  custom,
  eventId,
  timestampSeconds,
  body,
  bodyHeaders,
  secrets,
}: HeadersInput): Record<string, string> {
  const timestamp = String(timestampSeconds);
  return {
    ...acceptOf(custom),
    ...without(custom, bodyHeaders),
    ...bodyHeaders,
    'user-agent': USER_AGENT,
    'accept-encoding': 'identity',
    'webhook-id': eventId,
    'webhook-timestamp': timestamp,
    'webhook-signature': signStandard({ secrets: secrets.all, id: eventId, timestampSeconds, body }),
    'X-Webhook-ID': eventId,
    'X-Webhook-Timestamp': timestamp,
  };
}

function addStyles(headers: Record<string, string>, input: HeadersInput): void {
  const { timestampSeconds, body } = input;
  const { all, single } = input.secrets;
  for (const style of input.styles) {
    switch (style) {
      case 'standard':
        break;
      case 'x-webhook':
        headers['X-Webhook-Signature'] = signXWebhook(single, body);
        break;
      case 'github':
        headers['X-Hub-Signature-256'] = signGitHub(single, body);
        headers['X-GitHub-Event'] = input.eventType;
        // GitHub's is a GUID, the same when it delivers again; some receivers keep it in a column of that type.
        headers['X-GitHub-Delivery'] = input.deliveryUuid;
        headers['X-GitHub-Hook-ID'] = input.webhookId;
        break;
      case 'stripe':
        headers['Stripe-Signature'] = signStripe({ secrets: all, timestampSeconds, body });
        break;
      default:
        throw new Error(`Unknown signature style: ${style satisfies never}`);
    }
  }
  input.signature?.addTo(headers, input);
}

/**
 * Own headers whose names are not set by the body: some may have been given before those were reserved, and a field must
 * not be sent twice.
 */
function without(custom: Record<string, string>, body: Record<string, string>): Record<string, string> {
  if (!('ce-id' in body)) return custom;
  return Object.fromEntries(Object.entries(custom).filter(([name]) => !(name.toLowerCase() in body)));
}

/** The request headers of an endpoint verification without a body: the webhook's own. */
export function buildBareHeaders(custom: Record<string, string>): Record<string, string> {
  return { ...acceptOf(custom), ...custom, 'user-agent': USER_AGENT, 'accept-encoding': 'identity' };
}

const REDACTED = '[redacted]';
/** Ours, as we write them, and neither a secret nor derived from one. Everything else may hold a credential. */
const SHOWN_IN_THE_LOG: ReadonlySet<string> = new Set([
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
  'X-Webhook-Test',
  ...CLOUDEVENTS_HEADERS,
]);

/** The names, as we write them, whose values the delivery log may show for a webhook that signs so. */
export function shownNames(styles: readonly SignatureStyle[], signature?: CompiledSignature): ReadonlySet<string> {
  const more = styles.flatMap((style) => STYLE_HEADERS[style].others);
  if (more.length === 0 && !signature) return SHOWN_IN_THE_LOG;
  const shown = new Set([...SHOWN_IN_THE_LOG, ...more, ...(signature?.shown ?? [])]);
  // Its first header holds the signature, whatever else has that name.
  if (signature) shown.delete(signature.names[0]!);
  return shown;
}

/** The request headers as the delivery log may show them: custom values and signatures read `[redacted]`. */
export function redactHeaders(headers: Record<string, string>, shown: ReadonlySet<string>): Record<string, string> {
  const redacted: Record<string, string> = {};
  for (const name in headers) {
    const isShown = shown.has(name) || (name === 'accept' && headers[name] === ANY_TYPE);
    redacted[name] = isShown ? headers[name]! : REDACTED;
  }
  return redacted;
}

/**
 * A webhook's own headers without those that its styles and its declared signature set: they were accepted before, and
 * one name with two values would be read as neither.
 */
export function withoutSet(
  own: Record<string, string>,
  styles: readonly SignatureStyle[],
  signature?: CompiledSignature,
): Record<string, string> {
  const taken = new Set([...styleHeaderNames(styles), ...(signature?.names ?? [])].map(foldHeaderName));
  return Object.fromEntries(Object.entries(own).filter(([name]) => !taken.has(foldHeaderName(name))));
}
