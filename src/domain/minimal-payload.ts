import { rawMember, rawMembers } from './raw-member';

/** `minimal`: of the data, only the fields that the event type names as its key. */
export const PAYLOAD_MODES = ['full', 'minimal'] as const;
export type PayloadMode = (typeof PAYLOAD_MODES)[number];

const MAX_SEGMENTS = 8;
const MAX_LENGTH = 256;

/** What is wrong with a key field, a dotted path within the data such as `customer.id`; or undefined. */
export function keyFieldProblem(path: string): string | undefined {
  if (path.length > MAX_LENGTH) return `must be at most ${MAX_LENGTH} characters`;
  const segments = path.split('.');
  if (segments.length > MAX_SEGMENTS) return `must have at most ${MAX_SEGMENTS} names`;
  if (segments.some((segment) => segment === '')) return 'must be names with dots between them, such as customer.id';
  return undefined;
}

/**
 * The body that a webhook in minimal mode gets: the same envelope, with the key fields of its data only.
 * A pure function of what is stored, so that every attempt has the same bytes.
 *
 * @param body an envelope as ./envelope.ts makes it: `data` is its last member
 */
export function minimalBody(body: Buffer, keyFields: readonly string[]): Buffer {
  const text = body.toString('utf8');
  const data = rawMember(text, 'data')!;
  return Buffer.from(`${text.slice(0, text.length - data.length - 1)}${minimalData(data, keyFields)}}`);
}

/**
 * The key fields of data, each value as it was written; those that are not there are left out. Paths lead through
 * objects, not through lists; a path that goes on from another is part of that.
 *
 * @param data text of a JSON object
 */
export function minimalData(data: string, keyFields: readonly string[]): string {
  return cut(data, toTree(keyFields)) ?? '{}';
}

/** Names with what is wanted below them; undefined: the whole value. */
type Tree = Map<string, Tree | undefined>;

function toTree(paths: readonly string[]): Tree {
  const root: Tree = new Map();
  for (const path of paths) {
    let at = root;
    const segments = path.split('.');
    for (const [i, segment] of segments.entries()) {
      if (at.has(segment) && !at.get(segment)) break;
      if (i === segments.length - 1) at.set(segment, undefined);
      else {
        const next: Tree = at.get(segment) ?? new Map();
        at.set(segment, next);
        at = next;
      }
    }
  }
  return root;
}

function cut(json: string, wanted: Tree): string | undefined {
  if (!json.startsWith('{')) return undefined;
  const found = rawMembers(json, wanted);
  const kept: string[] = [];
  for (const [name, below] of wanted) {
    const value = found.get(name);
    const text = value !== undefined && below ? cut(value, below) : value;
    if (text !== undefined) kept.push(`${JSON.stringify(name)}:${text}`);
  }
  return kept.length > 0 ? `{${kept.join(',')}}` : undefined;
}
