/** One row of the table in which a data schema is shown to people. */
export type SchemaField = { path: string; type: string; required: boolean; description: string };

/** Of one schema. */
const MAX_FIELDS = 500;
/** Characters of each column: one definition may be listed for hundreds of fields. */
const MAX_TEXT = 300;
/** Allowed values that are looked at, of which fewer fit. */
const MAX_VALUES = 100;

/**
 * The fields of a data schema (one that ./data-schema.ts has passed), in the order they were written; `[]` stands for
 * every item of a list. `more`: the list was truncated.
 */
export function schemaFields(schema: object, most = MAX_FIELDS): { fields: SchemaField[]; more: boolean } {
  const defs = objectOf((schema as Schema).$defs);
  const fields: SchemaField[] = [];
  let more = false;
  walk(schema, '');
  return { fields, more };

  function walk(at: unknown, prefix: string): void {
    const { properties, required, items, allOf } = resolve(at);
    const needed = Array.isArray(required) ? required : [];
    for (const [name, inner] of Object.entries(objectOf(properties))) {
      if (fields.length >= Math.min(most, MAX_FIELDS)) {
        more = true;
        return;
      }
      const path = prefix === '' ? name : `${prefix}.${name}`;
      const field = resolve(inner);
      fields.push({
        path: path.slice(0, MAX_TEXT),
        type: typeOf(field),
        required: needed.includes(name),
        description: descriptionOf(field),
      });
      walk(inner, path);
    }
    if (items !== undefined && !more) walk(items, `${prefix}[]`);
    if (Array.isArray(allOf)) for (const one of allOf) if (!more) walk(one, prefix);
  }

  /** With what its `$ref` names; references never go in a circle. */
  function resolve(at: unknown): Schema {
    const own = objectOf(at) as Schema;
    const name = typeof own.$ref === 'string' ? own.$ref.slice('#/$defs/'.length) : undefined;
    return name === undefined || !Object.hasOwn(defs, name) ? own : { ...resolve(defs[name]), ...own };
  }
}

type Schema = Record<
  | '$defs'
  | '$ref'
  | 'properties'
  | 'required'
  | 'items'
  | 'allOf'
  | 'type'
  | 'format'
  | 'enum'
  | 'const'
  | 'description',
  unknown
>;

function typeOf({ type, format, enum: values, const: value }: Schema): string {
  const words = [
    ...(Array.isArray(type) ? [type.join(' or ')] : typeof type === 'string' ? [type] : []),
    ...(typeof format === 'string' ? [format] : []),
    ...(Array.isArray(values)
      ? [
          `one of ${values
            .slice(0, MAX_VALUES)
            .map((one) => JSON.stringify(one).slice(0, MAX_TEXT))
            .join(', ')}`,
        ]
      : []),
    ...(value !== undefined ? [`always ${JSON.stringify(value)}`] : []),
  ];
  return words.join(', ').slice(0, MAX_TEXT) || 'any';
}

function descriptionOf({ description }: Schema): string {
  return typeof description === 'string' ? description.slice(0, MAX_TEXT) : '';
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
