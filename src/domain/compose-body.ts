import { type BodyFormat, formatJson } from './body-format';
import {
  type CloudEventsEnvelope,
  DEFAULT_SOURCE,
  type Envelope,
  isShapeValue,
  readShapeText,
  type Shape,
  type ShapeValue,
} from './envelope-setting';

/** What a webhook says of the bodies that its receiver reads. */
export type BodySettings = { bodyFormat: BodyFormat; envelope: Envelope };

/** What a body may say of the attempt that carries it. */
export type BodyValues = {
  /** `wh_…` */
  webhookId: string;
  /** `del_…` */
  deliveryId: string;
  attempt: number;
  retryable: boolean;
  sentAtMs: number;
};

/** What is sent and signed, and the header fields that say what it is: `content-type`, and those of CloudEvents. */
export type ComposedBody = { body: Buffer; headers: Record<string, string> };

/**
 * Makes the body of an attempt.
 * @param stored the bytes of the event as ./envelope.ts makes them, cut or whole
 */
export type Composer = (stored: Buffer, values: BodyValues) => ComposedBody;

const JSON_TYPE = { 'content-type': 'application/json' };
/** HTTP protocol binding of CloudEvents 1.0.2, 3.2.1. */
const CLOUDEVENTS_TYPE = { 'content-type': 'application/cloudevents+json; charset=utf-8' };

/** The event's own bytes: neither the envelope nor the format changes them. */
export const isPlain = ({ bodyFormat, envelope }: BodySettings) => bodyFormat === 'exact' && envelope === 'standard';

/**
 * How a webhook's bodies are made from events. It is a function of the event, the settings and what a shape says of the
 * attempt, so that without the last every attempt has the same bytes. The data is formatted; what stands around it is
 * written by JSON.stringify in any case.
 */
export function composerOf(settings: BodySettings): Composer {
  const { bodyFormat, envelope } = settings;
  if (isPlain(settings)) return (stored) => ({ body: stored, headers: JSON_TYPE });
  const dataOf = (event: EventParts) => formatJson(event.data, bodyFormat);
  if (envelope === 'standard') {
    return (stored) => {
      const event = partsOf(stored);
      return { body: Buffer.concat([event.beforeData, dataOf(event), END]), headers: JSON_TYPE };
    };
  }
  if (envelope === 'data') return (stored) => ({ body: dataOf(partsOf(stored)), headers: JSON_TYPE });
  if ('shape' in envelope) {
    const parts = compileShape(envelope.shape);
    return (stored, values) => ({ body: fill(parts, partsOf(stored), values, dataOf), headers: JSON_TYPE });
  }
  if (envelope.cloudevents === 'binary') {
    return (stored) => {
      const event = partsOf(stored);
      return { body: dataOf(event), headers: { ...JSON_TYPE, ...toHeaders(attributesOf(event, envelope)) } };
    };
  }
  return (stored) => {
    const event = partsOf(stored);
    const head = JSON.stringify({ ...attributesOf(event, envelope), datacontenttype: 'application/json' });
    return {
      body: Buffer.concat([Buffer.from(`${head.slice(0, -1)},"data":`), dataOf(event), END]),
      headers: CLOUDEVENTS_TYPE,
    };
  };
}

type EventParts = {
  id: string;
  type: string;
  version: string;
  /** RFC 3339. */
  timestamp: string;
  data: Buffer;
  /** What stands before the data. */
  beforeData: Buffer;
};

const END = Buffer.from('}');
/** The values before it are texts, in which a quote is escaped: the first one is the envelope's own. */
const DATA_MEMBER = Buffer.from(',"data":');

/** The parts of an event's bytes; the data is not copied. */
function partsOf(stored: Buffer): EventParts {
  const at = stored.indexOf(DATA_MEMBER);
  if (at < 0) throw new Error('an event without data');
  const head = JSON.parse(`${stored.toString('utf8', 0, at)}}`) as Pick<
    EventParts,
    'id' | 'type' | 'version' | 'timestamp'
  >;
  const dataAt = at + DATA_MEMBER.length;
  return { ...head, data: stored.subarray(dataAt, -1), beforeData: stored.subarray(0, dataAt) };
}

/** A shape as what stays and what is filled in, in turn. */
type Part = { text: string } | { value: ShapeValue };

function compileShape(shape: Shape): Part[] {
  const parts: Part[] = [];
  let text = '';
  const write = (node: Shape): void => {
    if (Array.isArray(node)) {
      text += '[';
      for (const [i, item] of node.entries()) {
        if (i > 0) text += ',';
        write(item);
      }
      text += ']';
    } else if (typeof node === 'object' && node !== null) {
      text += '{';
      for (const [i, [name, inner]] of Object.entries(node).entries()) {
        text += `${i > 0 ? ',' : ''}${JSON.stringify(name)}:`;
        write(inner);
      }
      text += '}';
    } else {
      const read = typeof node === 'string' ? readShapeText(node) : { literal: node };
      if ('literal' in read) text += JSON.stringify(read.literal);
      else if (isShapeValue(read.value)) {
        parts.push({ text }, { value: read.value });
        text = '';
      } else throw new Error(`unknown value of a shape: ${read.value}`);
    }
  };
  write(shape);
  return [...parts, { text }];
}

function fill(
  parts: readonly Part[],
  event: EventParts,
  values: BodyValues,
  dataOf: (event: EventParts) => Buffer,
): Buffer {
  const pieces: Buffer[] = [];
  let text = '';
  for (const part of parts) {
    if ('text' in part) text += part.text;
    else if (part.value !== 'data') text += JSON.stringify(shapeValueOf(part.value, event, values));
    else {
      pieces.push(Buffer.from(text), dataOf(event));
      text = '';
    }
  }
  return Buffer.concat([...pieces, Buffer.from(text)]);
}

function shapeValueOf(
  name: Exclude<ShapeValue, 'data'>,
  event: EventParts,
  values: BodyValues,
): string | number | boolean {
  switch (name) {
    case 'id':
    case 'type':
    case 'version':
    case 'timestamp':
      return event[name];
    case 'timestamp_unix':
      return toSeconds(Date.parse(event.timestamp));
    case 'timestamp_ms':
      return Date.parse(event.timestamp);
    case 'webhook_id':
      return values.webhookId;
    case 'delivery_id':
      return values.deliveryId;
    case 'attempt':
    case 'retryable':
      return values[name];
    case 'sent_at':
      return new Date(values.sentAtMs).toISOString();
    case 'sent_at_unix':
      return toSeconds(values.sentAtMs);
    case 'sent_at_ms':
      return values.sentAtMs;
  }
}

const toSeconds = (ms: number) => Math.floor(ms / 1000);

/** Context attributes of CloudEvents 1.0.2. `eventversion` is an extension: there is no attribute for it. */
function attributesOf({ id, type, version, timestamp }: EventParts, { source, type_prefix }: CloudEventsEnvelope) {
  return {
    specversion: '1.0',
    id,
    source: source ?? DEFAULT_SOURCE,
    type: `${type_prefix ?? ''}${type}`,
    time: timestamp,
    eventversion: version,
  };
}

/** HTTP protocol binding of CloudEvents 1.0.2, 3.1.3: each attribute a header field, its value percent-encoded. */
function toHeaders(attributes: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      `ce-${name}`,
      // All values are printable ASCII without space or quote, by the rules of their settings.
      value.replaceAll('%', '%25'),
    ]),
  );
}
