import type { EventType, EventTypeVersion } from '../../db/store/event-types';
import type { JsonObject } from '../../domain/event-types';
import { isDeeperThan } from '../../domain/json-depth';
import { indentJson } from '../../domain/json-layout';
import { type SchemaField, schemaFields } from '../../domain/schema-fields';
import { MAX_EXAMPLE_DEPTH } from '../schemas/event-types';
import { type Html, html } from './html';
import { htmlPage } from './html-page';

/** Fields of all versions on one page: some kilobytes each at worst. */
const MAX_ROWS = 1_000;

/** An event type as a page for people. Whatever a tenant wrote is escaped. */
export function eventTypePage(type: EventType, versions: EventTypeVersion[]): string {
  const { name, description, deprecated, keyFields } = type;
  return htmlPage(
    name,
    html`<h1><code>${name}</code></h1>
${deprecated && html`<p class="note">This event type is deprecated.</p>`}
<p>${description ?? 'No description.'}</p>
${keyFields.length > 0 && html`<p>A minimal payload has ${keyFields.map((field, n) => html`${n > 0 && ', '}<code>${field}</code>`)}.</p>`}
${versions.length > 0 ? versions.toReversed().map((version) => section(version, Math.ceil(MAX_ROWS / versions.length))) : html`<p>No versions are described.</p>`}`,
  );
}

function section({ version, schema, example, exampleText }: EventTypeVersion, rows: number): Html {
  return html`<h2>Version ${version}</h2>
${schema ? table(schema, rows) : html`<p>No schema: any data is accepted.</p>`}
${example && html`<h3>Example</h3>\n<pre>${laidOut(example, exampleText!)}</pre>`}
`;
}

/** Indented, unless that would be most of it: examples that are older than the limit on their depth. */
function laidOut(example: JsonObject, text: string): string {
  return isDeeperThan(example, MAX_EXAMPLE_DEPTH) ? text : indentJson(text);
}

function table(schema: JsonObject, most: number): Html {
  const { fields, more } = schemaFields(schema, most);
  if (fields.length === 0) return html`<p>The schema names no fields.</p>`;
  return html`<table class="paths">
<thead><tr><th>field</th><th>type</th><th>required</th><th>description</th></tr></thead>
<tbody>
${fields.map(row)}</tbody>
</table>
${more && html`<p>Further fields are in the schema.</p>`}`;
}

const row = ({ path, type, required, description }: SchemaField): Html =>
  html`<tr><td><code>${breakable(path)}</code></td><td>${type}</td><td>${required && 'yes'}</td><td>${description}</td></tr>\n`;

/** A path that may be broken after its dots. */
const breakable = (path: string): Html =>
  html`${path.split('.').map((word, n) => html`${n > 0 && html`.<wbr>`}${word}`)}`;
