/**
 * The object around the data of an event as a webhook's receiver gets it. `standard`: the one that is stored
 * (./envelope.ts). `data`: none. CloudEvents 1.0, or a shape of the receiver's own.
 */
export type Envelope = 'standard' | 'data' | CloudEventsEnvelope | { shape: Shape };

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md */
export type CloudEventsEnvelope = { cloudevents: CloudEventsMode; source?: string; type_prefix?: string };

export const CLOUDEVENTS_MODES = ['structured', 'binary'] as const;
export type CloudEventsMode = (typeof CLOUDEVENTS_MODES)[number];
/** The `source` of events whose webhook names none: their ids are unique by themselves. */
export const DEFAULT_SOURCE = '/posthorn';

/** JSON in which a text such as `$type` stands for a value of the event or the attempt, and all else for itself. */
export type Shape = string | number | boolean | null | Shape[] | { [name: string]: Shape };

/** What a text of a shape may stand for, after its `$`. */
export const SHAPE_VALUES = [
  ...['id', 'type', 'version', 'data', 'timestamp', 'timestamp_unix', 'timestamp_ms', 'webhook_id', 'delivery_id'],
  // These differ from one attempt to the next.
  ...['attempt', 'retryable', 'sent_at', 'sent_at_unix', 'sent_at_ms'],
] as const;
export type ShapeValue = (typeof SHAPE_VALUES)[number];

/** A text of a shape: the value that it stands for, or itself. A literal `$` in front is written `$$`. */
export function readShapeText(text: string): { value: string } | { literal: string } {
  if (!text.startsWith('$')) return { literal: text };
  return text.startsWith('$$') ? { literal: text.slice(1) } : { value: text.slice(1) };
}

const MAX_LEVELS = 6;
/** Members and items of a shape, and its size as JSON: it is kept with every attempt. */
const MAX_NODES = 64;
const MAX_SHAPE_BYTES = 4_096;
const MAX_NAME = 128;
export const MAX_URI = 256;
export const MAX_TYPE_PREFIX = 128;
/** The characters of a URI reference, RFC 3986 appendix A. */
export const URI_REFERENCE = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;
export const TYPE_PREFIX = /^[A-Za-z0-9._:/-]+$/;
/** Postgres keeps neither NUL nor half of a surrogate pair. */
const BROKEN_TEXT = /[\0\p{Surrogate}]/u;

type Path = (string | number)[];
export type EnvelopeProblem = { path: Path; rule: string };

const FORMS = 'must be "standard", "data", {"cloudevents":"structured"}, {"cloudevents":"binary"} or {"shape":{…}}';

/** What is wrong with an envelope as it was given, and where; or undefined. */
export function envelopeProblem(given: unknown): EnvelopeProblem | undefined {
  if (given === 'standard' || given === 'data') return undefined;
  if (!isObject(given)) return { path: [], rule: FORMS };
  if (Object.hasOwn(given, 'shape')) return shapeProblem(given);
  if (Object.hasOwn(given, 'cloudevents')) return cloudEventsProblem(given);
  return { path: [], rule: FORMS };
}

function cloudEventsProblem(given: Record<string, unknown>): EnvelopeProblem | undefined {
  for (const [name, value] of Object.entries(given)) {
    const rule = memberRule(name, value);
    if (rule) return { path: [name], rule };
  }
  return undefined;
}

/** The rule that a member of a CloudEvents envelope breaks. */
function memberRule(name: string, value: unknown): string | undefined {
  switch (name) {
    case 'cloudevents':
      return CLOUDEVENTS_MODES.some((mode) => mode === value) ? undefined : 'must be "structured" or "binary"';
    case 'source':
      return isTextOf(value, MAX_URI, URI_REFERENCE)
        ? undefined
        : `must be a URI reference such as /shop, of at most ${MAX_URI} characters`;
    case 'type_prefix':
      return isTextOf(value, MAX_TYPE_PREFIX, TYPE_PREFIX)
        ? undefined
        : `must be 1 to ${MAX_TYPE_PREFIX} letters, digits or . _ : / - such as com.example.`;
    default:
      return 'is not known here; known are cloudevents, source, type_prefix';
  }
}

type Count = { nodes: number; values: number; data: number };

function shapeProblem(given: Record<string, unknown>): EnvelopeProblem | undefined {
  const other = Object.keys(given).find((name) => name !== 'shape');
  if (other !== undefined) return { path: [other], rule: 'is not known here; known is shape' };
  const { shape } = given;
  const path = ['shape'];
  if (typeof shape !== 'object' || shape === null) return { path, rule: 'must be an object or a list' };
  const count = { nodes: 0, values: 0, data: 0 };
  const problem = nodeProblem(shape, path, MAX_LEVELS, count);
  if (problem) return problem;
  if (count.values === 0) return { path, rule: `must hold at least one of ${known}` };
  // It may be large; all others are short.
  if (count.data > 1) return { path, rule: 'must hold $data at most once' };
  return Buffer.byteLength(JSON.stringify(shape)) > MAX_SHAPE_BYTES
    ? { path, rule: `must have at most ${MAX_SHAPE_BYTES} bytes as JSON` }
    : undefined;
}

const known = SHAPE_VALUES.map((value) => `$${value}`).join(', ');

function nodeProblem(node: unknown, path: Path, levels: number, count: Count): EnvelopeProblem | undefined {
  if (++count.nodes > MAX_NODES) return { path: ['shape'], rule: `must have at most ${MAX_NODES} members and items` };
  if (typeof node === 'string') return textProblem(node, path, count);
  if (typeof node === 'number') {
    return Math.abs(node) <= Number.MAX_SAFE_INTEGER ? undefined : { path, rule: 'must be within 2^53, or a text' };
  }
  if (typeof node !== 'object' || node === null) return undefined;
  if (levels === 0) return { path, rule: `must be at most ${MAX_LEVELS} levels deep` };
  for (const [name, inner] of Object.entries(node)) {
    const at = [...path, Array.isArray(node) ? Number(name) : name];
    if (name.length > MAX_NAME) return { path, rule: `must have names of at most ${MAX_NAME} characters` };
    if (BROKEN_TEXT.test(name)) return { path, rule: 'must have names without NUL or broken Unicode' };
    const problem = nodeProblem(inner, at, levels - 1, count);
    if (problem) return problem;
  }
  return undefined;
}

function textProblem(text: string, path: Path, count: Count): EnvelopeProblem | undefined {
  if (BROKEN_TEXT.test(text)) return { path, rule: 'must be text without NUL or broken Unicode' };
  const read = readShapeText(text);
  if ('literal' in read) return undefined;
  if (!isShapeValue(read.value))
    return { path, rule: `must be one of ${known}; a text that begins with $ is written $$` };
  count.values++;
  if (read.value === 'data') count.data++;
  return undefined;
}

export const isShapeValue = (name: string): name is ShapeValue => SHAPE_VALUES.some((value) => value === name);

const isTextOf = (value: unknown, maxLength: number, pattern: RegExp) =>
  typeof value === 'string' && value.length <= maxLength && pattern.test(value);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
