import { createHmac } from 'node:crypto';
import {
  type DeclaredSignature,
  declaredNames,
  FACTS,
  type Fact,
  parseTemplate,
  type TemplatePart,
} from '../domain/declared-signature';
import { foldHeaderName } from '../domain/header-name';
import { uuidTimeMs } from '../domain/ids';
import { SIGNATURE_STYLES, styleHeaderNames } from '../domain/signature-styles';
import type { SigningSecrets } from './secrets';

/** What a declared signature is made from. */
export type SignedFacts = {
  eventId: string;
  eventUuid: string;
  deliveryId: string;
  deliveryUuid: string;
  webhookId: string;
  eventType: string;
  attemptNumber: number;
  timestampMs: number;
  body: Buffer;
  secrets: SigningSecrets;
};

/** A declared signature, ready for many attempts. */
export type CompiledSignature = {
  /** All headers that it sets. */
  names: readonly string[];
  /** Those whose values the delivery log may show. */
  shown: readonly string[];
  /** Adds its headers, in place of ours with the same names. */
  addTo(headers: Record<string, string>, facts: SignedFacts): void;
  /** What is signed, as a receiver has to put it together. */
  signedText(facts: SignedFacts): Buffer;
};

/** Ours that a declared header may take the place of, as we write them. */
const REPLACEABLE = [
  ...['X-Webhook-ID', 'X-Webhook-Timestamp', 'X-Webhook-Event'],
  ...['X-Webhook-Attempt', 'X-Webhook-Delivery', 'X-Webhook-Retryable'],
  ...styleHeaderNames(SIGNATURE_STYLES),
];

/** @param declared accepted by `declaredProblem` when it was set */
export function compileSignature(declared: DeclaredSignature): CompiledSignature {
  const { header, algorithm, encoding, key, join, timestamp, ids, names } = declared;
  const signed = templateOf(declared.signed);
  const prefix = templateOf(declared.prefix);
  const all = declaredNames(declared);
  const taken = new Set(all.map(foldHeaderName));
  const replaced = REPLACEABLE.filter((name) => taken.has(foldHeaderName(name)));
  const facts = FACTS.flatMap((fact): [Fact, string][] => (names[fact] === null ? [] : [[fact, names[fact]]]));

  const timeOf = (given: SignedFacts): string => {
    const ms = timestamp.of === 'attempt' ? given.timestampMs : uuidTimeMs(given.eventUuid);
    switch (timestamp.format) {
      case 'unix':
        return String(Math.floor(ms / 1_000));
      case 'milliseconds':
        return String(ms);
      case 'iso':
        return new Date(ms).toISOString();
    }
  };
  const idOf = (given: SignedFacts) => (ids === 'uuid' ? given.eventUuid : given.eventId);
  const factOf = (fact: Fact, given: SignedFacts): string => {
    switch (fact) {
      case 'id':
        return idOf(given);
      case 'event_type':
        return given.eventType;
      case 'attempt':
        return String(given.attemptNumber);
      case 'delivery':
        return ids === 'uuid' ? given.deliveryUuid : given.deliveryId;
      case 'webhook':
        return given.webhookId;
    }
  };
  const fill = (parts: readonly TemplatePart[], given: SignedFacts, time: string): (string | Buffer)[] =>
    parts.map((part) => {
      if ('text' in part) return part.text;
      if (part.placeholder === 'body') return given.body;
      return part.placeholder === 'id' ? idOf(given) : time;
    });

  return {
    names: all,
    shown: all.slice(1),
    addTo(headers, given) {
      const time = timeOf(given);
      const pieces = fill(signed, given, time);
      const { all: secrets, single } = given.secrets;
      const signatures = (join === null ? [single] : secrets).map((secret) => {
        const hmac = createHmac(algorithm, key === 'text' ? secret.text : secret.standard);
        for (const piece of pieces) hmac.update(piece);
        return hmac.digest(encoding);
      });
      for (const name of replaced) delete headers[name];
      headers[header] = fill(prefix, given, time).join('') + signatures.join(join ?? '');
      if (timestamp.header !== null) headers[timestamp.header] = time;
      for (const [fact, name] of facts) headers[name] = factOf(fact, given);
    },
    signedText(given) {
      return Buffer.concat(fill(signed, given, timeOf(given)).map((piece) => Buffer.from(piece)));
    },
  };
}

function templateOf(text: string): TemplatePart[] {
  const parts = parseTemplate(text);
  if (!parts) throw new Error('A stored template breaks the grammar');
  return parts;
}
