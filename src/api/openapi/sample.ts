import { type JsonSchema, resolve } from './json-schema';

/** A short value that fits a schema, for the examples of the page: what it must have, and one field at least. */
export function sampleOf(schema: JsonSchema, shared: Record<string, JsonSchema>): unknown {
  const { examples, default: fallback, const: only, enum: values, anyOf, type, ...rest } = resolve(schema, shared);
  if (examples) return examples[0];
  if (fallback !== undefined) return fallback;
  if (only !== undefined) return only;
  if (values) return values[0];
  if (anyOf?.[0]) return sampleOf(anyOf[0], shared);
  switch (Array.isArray(type) ? type[0] : type) {
    case 'object': {
      const { properties = {}, required = [], minProperties } = rest;
      const names = required.length > 0 || !minProperties ? required : Object.keys(properties).slice(0, 1);
      return Object.fromEntries(names.map((name) => [name, sampleOf(properties[name] ?? {}, shared)]));
    }
    case 'array':
      return rest.items ? [sampleOf(rest.items, shared)] : [];
    case 'integer':
    case 'number':
      return (rest.minimum as number | undefined) ?? 1;
    case 'boolean':
      return true;
    default:
      return '…';
  }
}
