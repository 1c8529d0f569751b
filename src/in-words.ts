import { z } from 'zod';

/**
 * What a schema asks for, in words of ours, and what is wrong with a value as the end of a sentence that begins with the
 * field's name: `events` "is required: a list of 1 to 100 patterns such as order.*". The library's own messages
 * ("Invalid input: expected array, received undefined") are never shown.
 */
type Words = { one: string; many: string };

const WORDS = z.registry<Words>();

/**
 * Names what a schema takes, for those whose kind does not say it: "an event type such as order.created", and of several
 * "event types such as order.created". What is made of this schema by `refine`, `meta`, `optional` and the like has the name too.
 */
export function named<S extends z.ZodType>(schema: S, one: string, many: string): S {
  WORDS.add(schema, { one, many });
  return schema;
}

/** The sentence's end for an issue of a parse with {@link OWN_WORDS}. `root` and `value` are what was parsed. */
export function ruleInWords(issue: z.core.$ZodIssue, root: z.ZodType, value: unknown): string {
  const absent = at(value, issue.path) === undefined;
  // A rule of our own says it better than the kind of the schema.
  const own = issue.message === '' ? undefined : issue.message;
  if (own !== undefined) return absent ? own.replace(MUST_BE_SOMETHING, REQUIRED) : own;
  if (issue.code === 'invalid_key') return `must have names that are each ${describe(keyOf(root, issue.path))}`;
  return (absent ? REQUIRED : MUST_BE) + describe(schemaAt(root, issue.path));
}

const MUST_BE = 'must be ';
/** Not "must be given together with …". */
const MUST_BE_SOMETHING = /^must be (?=(an?|the|one) )/;
const REQUIRED = 'is required: ';

/** For `safeParse`: leaves the message empty where the schema has none of its own, so that {@link ruleInWords} makes it. */
export const OWN_WORDS = { error: () => '' };

const described = new WeakMap<z.ZodType, Words>();

/** What a schema takes, as a noun: "a whole number from 1 to 200". "A value" for one that is not known. */
export function describe(schema: z.ZodType | undefined): string {
  return schema ? wordsOf(schema).one : 'a value';
}

function wordsOf(schema: z.ZodType): Words {
  const known = described.get(schema);
  if (known) return known;
  const layers = layersOf(schema);
  const words = layers.map((layer) => WORDS.get(layer)).find(Boolean) ?? byKind(layers);
  const orNull = layers.some((layer) => layer instanceof z.ZodNullable) ? ', or null' : '';
  const made = { one: words.one + orNull, many: words.many + orNull };
  described.set(schema, made);
  return made;
}

function byKind(layers: z.ZodType[]): Words {
  const core = layers.at(-1)!;
  const meta = Object.assign({}, ...layers.map((layer) => layer.meta()).reverse()) as z.core.GlobalMeta;
  const example = (meta.examples as unknown[] | undefined)?.[0];
  const such = typeof example === 'string' || typeof example === 'number' ? ` such as ${example}` : '';
  const { type, format } = core.def as { type: string; format?: string };
  switch (type) {
    case 'string': {
      if (format === 'datetime') {
        return { one: `an RFC 3339 time${such}`, many: `RFC 3339 times${such}` };
      }
      const { minLength, maxLength } = limitsOf(core);
      const length = spanOf(minLength, maxLength);
      const of = length && ` of ${length} ${maxLength === 1 ? 'character' : 'characters'}`;
      return { one: `a text${of}${such}`, many: `texts${of}${such}` };
    }
    case 'number': {
      const { type: kind, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = limitsOf(core);
      const [one, many] = kind === 'integer' ? ['a whole number', 'whole numbers'] : ['a number', 'numbers'];
      const within = [
        rangeOf(minimum, maximum),
        exclusiveMinimum !== undefined && ` above ${exclusiveMinimum}`,
        exclusiveMaximum !== undefined && ` below ${exclusiveMaximum}`,
        multipleOf !== undefined && ` that is a multiple of ${multipleOf}`,
      ]
        .filter(Boolean)
        .join('');
      return { one: one + within, many: many + within };
    }
    case 'boolean':
      return { one: 'true or false', many: 'true or false' };
    case 'enum':
    case 'literal': {
      const values = core instanceof z.ZodEnum ? core.options : [...(core as z.ZodLiteral).values];
      const listed = either(values.map(String));
      return { one: values.length === 1 ? listed : `one of ${listed}`, many: `of ${listed}` };
    }
    case 'array': {
      const { element } = core as z.ZodArray<z.ZodType>;
      const { many } = wordsOf(element);
      const { minItems, maxItems } = limitsOf(core);
      const count = spanOf(minItems, maxItems);
      const items = many.startsWith('of ') ? `${count || 'any'} ${many}` : `${count && `${count} `}${many}`;
      return { one: `a list of ${items}`, many: `lists of ${items}` };
    }
    case 'record': {
      const { many } = wordsOf((core as z.ZodRecord).valueType as z.ZodType);
      return { one: `an object whose values are ${many}`, many: `objects whose values are ${many}` };
    }
    case 'union': {
      const options = (core as z.ZodUnion<z.ZodType[]>).options.map((option) => describe(option));
      return { one: options.join(', or '), many: options.join(', or ') };
    }
    case 'object':
      return { one: 'an object', many: 'objects' };
    case 'null':
      return { one: 'null', many: 'null' };
    default:
      return meta.type === 'object' ? { one: 'an object', many: 'objects' } : { one: 'a value', many: 'values' };
  }
}

type Limits = Partial<
  Record<
    | 'minLength'
    | 'maxLength'
    | 'minimum'
    | 'maximum'
    | 'exclusiveMinimum'
    | 'exclusiveMaximum'
    | 'multipleOf'
    | 'minItems'
    | 'maxItems',
    number
  >
>;

/** The limits of a schema and its type, as JSON Schema has them. */
function limitsOf(schema: z.ZodType): Limits & { type?: string } {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Limits & { type?: string };
}

/** A count: "1 to 100", "at most 100"; empty if there is no limit. */
function spanOf(minimum: number | undefined, maximum: number | undefined): string {
  const [least, most] = [minimum || undefined, maximum];
  if (least === undefined && most === undefined) return '';
  if (least === undefined) return `at most ${most}`;
  if (most === undefined) return `at least ${least}`;
  return least === most ? `${least}` : `${least} to ${most}`;
}

/** A range of numbers; the limits of whole numbers that a double can hold are none. */
function rangeOf(minimum: number | undefined, maximum: number | undefined): string {
  const least = minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const most = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (least === undefined && most === undefined) return '';
  if (least === undefined) return ` of at most ${most}`;
  if (most === undefined) return ` of at least ${least}`;
  return ` from ${least} to ${most}`;
}

/** "a, b or c" */
function either(words: string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A schema and the schemas that it wraps: optional, default, nullable, transform. The last one takes the value. */
export function layersOf(schema: z.ZodType): z.ZodType[] {
  const { innerType, in: from } = schema.def as { innerType?: z.ZodType; in?: z.ZodType };
  // Of a preprocessing the other half takes the value.
  const out = (schema.def as { out?: z.ZodType }).out;
  const inner = innerType ?? (from?.def.type === 'transform' ? out : from);
  return inner ? [schema, ...layersOf(inner)] : [schema];
}

/** The schema of what is at this path, as far as the schema says. */
function schemaAt(root: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return root;
  const core = layersOf(root).at(-1)!;
  if (core instanceof z.ZodObject) {
    const member = Object.hasOwn(core.shape, key) ? (core.shape[key as string] as z.ZodType) : undefined;
    return member && schemaAt(member, rest);
  }
  if (core instanceof z.ZodArray) return schemaAt(core.element as z.ZodType, rest);
  if (core instanceof z.ZodRecord) return schemaAt(core.valueType as z.ZodType, rest);
  if (core instanceof z.ZodUnion) {
    for (const option of core.options as z.ZodType[]) {
      const found = schemaAt(option, path);
      if (found) return found;
    }
  }
  return undefined;
}

/** The schema of the names of the record that holds what is at this path. */
function keyOf(root: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  const holder = schemaAt(root, path.slice(0, -1));
  const core = holder && layersOf(holder).at(-1);
  return core instanceof z.ZodRecord ? (core.keyType as z.ZodType) : undefined;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let inner = value;
  for (const key of path) {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, key)) return undefined;
    inner = (inner as Record<PropertyKey, unknown>)[key];
  }
  return inner;
}
