import { type Html, html } from '../html/html';
import { htmlPage } from '../html/html-page';
import type { OpenApiDocument, Operation, Parameter, ResponseObject } from './document';
import { type JsonSchema, sharedName } from './json-schema';
import { sampleOf } from './sample';

/** The document as a page for people: operations by tag, then the schemas they share. */
export function docsPage(document: OpenApiDocument): string {
  const { info, tags, paths, components } = document;
  const operations = Object.entries(paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({ method, path, operation })),
  );
  const byTag = tags.map(({ name }) => ({
    name,
    operations: operations.filter(({ operation }) => operation.tags.includes(name)),
  }));
  return htmlPage(
    `${info.title} API`,
    html`<h1>${info.title} API</h1>
${info.description.split('\n\n').map((text) => html`<p>${prose(text)}</p>\n`)}
<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>
<nav>${byTag.map((tag) => contents(tag))}<p><b><a href="#schemas">Schemas</a></b></p></nav>
${byTag.map((tag) => html`<h2>${tag.name}</h2>\n${tag.operations.map((one) => section(one, document))}`)}
<h2 id="schemas">Schemas</h2>
${Object.entries(components.schemas).map(
  ([name, schema]) => html`<h3 id="${schemaId(name)}">${name}</h3>\n${schemaDetails(schema)}`,
)}`,
  );
}

type Entry = { method: string; path: string; operation: Operation };

function contents({ name, operations }: { name: string; operations: Entry[] }): Html {
  const links = operations.map(
    ({ method, path, operation }) =>
      html`<li><a href="#${operation.operationId}"><code><span class="method">${method}</span> ${path}</code></a> ${operation.summary}</li>\n`,
  );
  return html`<p><b>${name}</b></p><ul>\n${links}</ul>\n`;
}

function section(entry: Entry, document: OpenApiDocument): Html {
  const { method, path, operation } = entry;
  const body = operation.requestBody;
  return html`<h3 id="${operation.operationId}"><code><span class="method">${method}</span> ${path}</code></h3>
<p>${operation.summary}. ${prose(operation.description)}</p>
${operation.parameters.length > 0 && parameterTable(operation.parameters)}
${
  body &&
  html`<h4>Body${!body.required && ' (may be left out)'}</h4>\n${Object.values(body.content).map(({ schema }) => schemaDetails(schema))}`
}
<h4>Answers</h4>
<table><tr><th>status</th><th>body</th><th>meaning</th></tr>
${Object.entries(operation.responses).map(([status, answer]) => answerRow(status, answer, document))}</table>
<h4>Example</h4>
<pre>${curl(entry, document)}</pre>
`;
}

function parameterTable(parameters: Parameter[]): Html {
  return html`<h4>Parameters</h4>
<table><tr><th>name</th><th>in</th><th>type</th><th>notes</th></tr>
${parameters.map(
  ({ name, in: place, required, description, schema }) =>
    html`<tr><td><code>${name}</code></td><td>${place}</td><td>${typeOf(schema)}</td><td>${notes({ description, ...schema }, required)}</td></tr>\n`,
)}</table>`;
}

function answerRow(status: string, given: Operation['responses'][string], { components }: OpenApiDocument): Html {
  const answer: ResponseObject | undefined =
    '$ref' in given ? components.responses[given.$ref.split('/').at(-1) ?? ''] : given;
  const bodies = Object.entries(answer?.content ?? {});
  return html`<tr><td>${status}</td><td>${bodies.map(([type, { schema }]) => html`${typeOf(schema)}${!type.endsWith('json') && html` <code>${type}</code>`}`)}</td><td>${prose(answer?.description ?? '')}</td></tr>\n`;
}

/** The fields of an object, or the type of anything else. */
function schemaDetails(schema: JsonSchema): Html {
  const { properties, required = [] } = schema;
  if (!properties) return html`<p>${typeOf(schema)} ${notes(schema, true)}</p>\n`;
  if (Object.keys(properties).length === 0) return html`<p>An empty object.</p>\n`;
  return html`<table><tr><th>field</th><th>type</th><th>notes</th></tr>
${Object.entries(properties).map(
  ([name, field]) =>
    html`<tr><td><code>${name}</code></td><td>${typeOf(field)}</td><td>${notes(field, required.includes(name))}</td></tr>\n`,
)}</table>
`;
}

function typeOf(schema: JsonSchema): Html {
  const name = sharedName(schema);
  if (name) return html`<a href="#${schemaId(name)}">${name}</a>`;
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return joined(choices.map(typeOf), ' or ');
  const values = schema.enum ?? (schema.const !== undefined ? [schema.const] : undefined);
  if (values)
    return joined(
      values.map((value) => html`<code>${JSON.stringify(value)}</code>`),
      ', ',
    );
  if (schema.items) return html`list of ${typeOf(schema.items)}`;
  if (schema.properties) return html`object { ${joined(Object.entries(schema.properties).map(member), ', ')} }`;
  const others = schema.additionalProperties;
  if (typeof others === 'object') return html`object of ${typeOf(others)}`;
  return html`${[schema.type ?? 'any'].flat().join(' or ')}`;
}

const member = ([name, schema]: [string, JsonSchema]) => html`<code>${name}</code>: ${typeOf(schema)}`;

/** The bounds that a reader wants to see, by keyword. */
const BOUNDS = [
  'format',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
] as const;

function notes(schema: JsonSchema, required: boolean): Html {
  // The bounds of a nullable schema are one level below.
  const [only, ...more] = (schema.anyOf ?? []).filter(({ type }) => type !== 'null');
  const bounded = only && more.length === 0 ? { ...only, ...schema } : schema;
  const bounds = BOUNDS.filter((key) => bounded[key] !== undefined);
  const items = bounded.items?.description;
  return joined(
    [
      ...(required ? [] : [html`optional`]),
      ...(bounded.description ? [prose(bounded.description)] : []),
      ...(items ? [html`each: ${prose(items)}`] : []),
      ...(schema.default === undefined ? [] : [html`default <code>${JSON.stringify(schema.default)}</code>`]),
      ...bounds.map((key) => html`${key} <code>${String(bounded[key])}</code>`),
    ],
    '; ',
  );
}

function curl({ method, path, operation }: Entry, { servers, components }: OpenApiDocument): string {
  const base = servers[0]?.url ?? '';
  const at = path.replace(
    /\{(\w+)\}/g,
    (_, name: string) => `$${name === 'name' ? 'NAME' : `${name.toUpperCase()}_ID`}`,
  );
  const [body] = Object.values(operation.requestBody?.content ?? {});
  const lines = [
    `curl -X ${method.toUpperCase()} "$POSTHORN_URL${base}${at}"`,
    `-H "Authorization: Bearer $POSTHORN_API_KEY"`,
    ...(body && operation.requestBody?.required
      ? [
          `-H 'Content-Type: application/json'`,
          `-d '${JSON.stringify(sampleOf(body.schema, components.schemas)).replaceAll("'", `'\\''`)}'`,
        ]
      : []),
  ];
  return lines.join(' \\\n  ');
}

const schemaId = (name: string) => `schema-${name}`;

/** Text in which `code` is set as code. */
function prose(text: string): Html {
  return html`${text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}

function joined(parts: readonly Html[], by: string): Html {
  return html`${parts.map((part, i) => [i > 0 && by, part])}`;
}
