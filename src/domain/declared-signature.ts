/**
 * A signature as receivers check it that exist already: its header, what is signed and how, and the headers that go with
 * it. A webhook may declare one, beside the styles.
 */

export const SIGNATURE_ALGORITHMS = ['sha256', 'sha512', 'sha1'] as const;
export const SIGNATURE_ENCODINGS = ['hex', 'base64'] as const;
/** `text`: the whole secret as UTF-8; `standard`: as Standard Webhooks derives it. */
export const SIGNATURE_KEYS = ['text', 'standard'] as const;
export const TIMESTAMP_FORMATS = ['unix', 'milliseconds', 'iso'] as const;
export const TIMESTAMPS_OF = ['attempt', 'event'] as const;
/** How ids are written: `evt_…` and `del_…`, or as uuids. */
export const ID_FORMATS = ['public', 'uuid'] as const;
/** What a receiver may want to know beside the signature, each in a header of its own. */
export const FACTS = ['id', 'event_type', 'attempt', 'delivery', 'webhook'] as const;

export type Fact = (typeof FACTS)[number];

export type SignatureScheme = {
  /** The name of the header that holds the signature. */
  header: string;
  algorithm: (typeof SIGNATURE_ALGORITHMS)[number];
  encoding: (typeof SIGNATURE_ENCODINGS)[number];
  key: (typeof SIGNATURE_KEYS)[number];
  /** Before the signature; `{timestamp}` stands for the time. */
  prefix: string;
  /** Between the signatures of several secrets, in a rotation; null: the header carries one. */
  join: string | null;
  /** What is signed: text in which `{id}`, `{timestamp}` and `{body}` stand for those. */
  signed: string;
  timestamp: {
    header: string | null;
    format: (typeof TIMESTAMP_FORMATS)[number];
    of: (typeof TIMESTAMPS_OF)[number];
  };
  ids: (typeof ID_FORMATS)[number];
  /** The names of headers; null: not sent. */
  names: Record<Fact, string | null>;
};

export type DeclaredSignature = SignatureScheme & { preset: SignaturePreset | null };

const NO_NAMES: SignatureScheme['names'] = { id: null, event_type: null, attempt: null, delivery: null, webhook: null };

/** What is not declared; the header has no default. */
export const SIGNATURE_DEFAULTS: Omit<SignatureScheme, 'header'> = {
  algorithm: 'sha256',
  encoding: 'hex',
  key: 'text',
  prefix: '',
  join: null,
  signed: '{body}',
  timestamp: { header: null, format: 'unix', of: 'attempt' },
  ids: 'public',
  names: NO_NAMES,
};

/** Schemes that are common, each from its owner's documentation. */
export const SIGNATURE_PRESETS = {
  'x-signature': { ...SIGNATURE_DEFAULTS, header: 'X-Signature' },
  /** docs.slack.dev, "Verifying requests from Slack". */
  slack: {
    ...SIGNATURE_DEFAULTS,
    header: 'X-Slack-Signature',
    prefix: 'v0=',
    signed: 'v0:{timestamp}:{body}',
    timestamp: { header: 'X-Slack-Request-Timestamp', format: 'unix', of: 'attempt' },
  },
  /** shopify.dev, "Deliver webhooks through HTTPS" and "Ignore duplicate webhooks". */
  shopify: {
    ...SIGNATURE_DEFAULTS,
    header: 'X-Shopify-Hmac-Sha256',
    encoding: 'base64',
    timestamp: { header: 'X-Shopify-Triggered-At', format: 'iso', of: 'event' },
    names: {
      ...NO_NAMES,
      id: 'X-Shopify-Event-Id',
      event_type: 'X-Shopify-Topic',
      delivery: 'X-Shopify-Webhook-Id',
    },
  },
  /** docs.github.com, "Validating webhook deliveries"; what the style of that name sends. */
  github: {
    ...SIGNATURE_DEFAULTS,
    header: 'X-Hub-Signature-256',
    prefix: 'sha256=',
    ids: 'uuid',
    names: {
      ...NO_NAMES,
      event_type: 'X-GitHub-Event',
      delivery: 'X-GitHub-Delivery',
      webhook: 'X-GitHub-Hook-ID',
    },
  },
  /** docs.stripe.com/webhooks, "Verify manually"; what the style of that name sends. */
  stripe: {
    ...SIGNATURE_DEFAULTS,
    header: 'Stripe-Signature',
    prefix: 't={timestamp},v1=',
    join: ',v1=',
    signed: '{timestamp}.{body}',
  },
  /** docs.svix.com, "Verifying webhooks manually". */
  svix: {
    ...SIGNATURE_DEFAULTS,
    header: 'svix-signature',
    encoding: 'base64',
    key: 'standard',
    prefix: 'v1,',
    join: ' v1,',
    signed: '{id}.{timestamp}.{body}',
    timestamp: { header: 'svix-timestamp', format: 'unix', of: 'attempt' },
    names: { ...NO_NAMES, id: 'svix-id' },
  },
} as const satisfies Record<string, SignatureScheme>;

export type SignaturePreset = keyof typeof SIGNATURE_PRESETS;
export const SIGNATURE_PRESET_NAMES = Object.keys(SIGNATURE_PRESETS) as [SignaturePreset, ...SignaturePreset[]];

/** All headers that it sends: the one with the signature first. */
export function declaredNames({ header, timestamp, names }: SignatureScheme): string[] {
  return [header, timestamp.header, ...FACTS.map((fact) => names[fact])].filter((name) => name !== null);
}

export const PLACEHOLDERS = ['id', 'timestamp', 'body'] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];
/** A piece of a template: text as it is, or what a placeholder stands for. */
export type TemplatePart = { text: string } | { placeholder: Placeholder };

export const MAX_SIGNED_LENGTH = 256;
export const MAX_PREFIX_LENGTH = 64;
export const MAX_JOIN_LENGTH = 32;

/**
 * The pieces of a template, or undefined if it is none. The grammar: pieces one after the other, each a placeholder (its
 * name in braces) or characters of printable US-ASCII other than braces. There is no way to write a brace.
 */
export function parseTemplate(template: string): TemplatePart[] | undefined {
  if (!/^(?:\{(?:id|timestamp|body)\}|[^{}])*$/.test(template)) return undefined;
  return (template.match(/\{\w+\}|[^{}]+/g) ?? []).map((piece) =>
    piece.startsWith('{') ? { placeholder: piece.slice(1, -1) as Placeholder } : { text: piece },
  );
}

/** US-ASCII that may stand in a header; not at the beginning a space, which a receiver drops. */
export const PREFIX = /^(?! )[\x20-\x7e]*$/;
export const JOIN = /^[\x20-\x7e]+$/;
/** Line breaks as well: some senders put each part on a line of its own. */
export const SIGNED = /^[\n\x20-\x7e]+$/;

/** What is wrong with a scheme: the path of the member and the rule. Names of headers are judged elsewhere. */
export function schemeProblem(scheme: SignatureScheme): { path: string[]; rule: string } | undefined {
  const { prefix, join, signed, timestamp } = scheme;
  const problem = (path: string[], rule: string) => ({ path, rule });
  if (!PREFIX.test(prefix)) return problem(['prefix'], 'must be printable ASCII that does not begin with a space');
  if (join !== null && !JOIN.test(join)) return problem(['join'], 'must be printable ASCII, or null');
  if (!SIGNED.test(signed)) return problem(['signed'], 'must be printable ASCII or line breaks');
  const before = parseTemplate(prefix);
  if (!before?.every((part) => 'text' in part || part.placeholder === 'timestamp')) {
    return problem(['prefix'], 'may hold {timestamp}, and no other braces');
  }
  const parts = parseTemplate(signed);
  if (!parts) return problem(['signed'], 'may hold {id}, {timestamp} and {body}, and no other braces');
  const placeholders = parts.flatMap((part) => ('placeholder' in part ? part.placeholder : []));
  if (placeholders.filter((one) => one === 'body').length !== 1) {
    return problem(['signed'], 'must hold {body} once: what is not signed can be changed on the way');
  }
  const isSent =
    timestamp.header !== null ||
    before.some((part) => 'placeholder' in part) ||
    // The time of every delivery, in webhook-timestamp.
    (timestamp.format === 'unix' && timestamp.of === 'attempt');
  if (placeholders.includes('timestamp') && !isSent) {
    return problem(['timestamp', 'header'], 'must be given: the time that is signed is in no other header');
  }
  return undefined;
}
