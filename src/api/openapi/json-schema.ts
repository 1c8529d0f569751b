import { z } from 'zod';

export type JsonSchema = {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  examples?: unknown[];
  [keyword: string]: unknown;
};

const SHARED = '#/components/schemas/';

/**
 * JSON Schema (2020-12) of what a zod schema takes, before its transforms. Schemas with an id in their `meta` go to
 * `shared` and are referred to.
 */
export function toJsonSchema(schema: z.ZodType, shared: Record<string, JsonSchema>): JsonSchema {
  const made = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: mend });
  const {
    $schema: _,
    $defs = {},
    ...own
  } = JSON.parse(JSON.stringify(made).replaceAll('"#/$defs/', `"${SHARED}`)) as JsonSchema & {
    $defs?: Record<string, JsonSchema>;
  };
  Object.assign(shared, $defs);
  return own;
}

/** The schema that a reference names, or the schema itself. */
export function resolve(schema: JsonSchema, shared: Record<string, JsonSchema>): JsonSchema {
  const name = sharedName(schema);
  return name ? (shared[name] ?? {}) : schema;
}

/** The name of the shared schema that this is a reference to. */
export const sharedName = ({ $ref }: JsonSchema): string | undefined =>
  $ref?.startsWith(SHARED) ? $ref.slice(SHARED.length) : undefined;

type Override = NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override'];

const mend: Override = ({ zodSchema, jsonSchema }) => {
  // zod omits these before a transform, because they may be of its output; in a `meta` they are as callers write them.
  const { default: fallback, examples } = z.globalRegistry.get(zodSchema) ?? {};
  if (fallback !== undefined) jsonSchema.default = fallback as never;
  if (examples !== undefined) jsonSchema.examples = examples as never;
  // The format says the same as zod's pattern, which is hardly readable.
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
};
