import { createHash } from 'node:crypto';
import type { EventType, EventTypeVersion } from '../db/event-types';
import type { JsonObject } from '../domain/event-types';
import { type SchemaField, schemaFields } from '../domain/schema-fields';

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
h1,code,pre{font-family:ui-monospace,monospace}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d5dbe3}
pre{background:#f2f5f8;padding:1rem;overflow:auto}
.note{background:#fff3d6;padding:.6rem 1rem}`;

/** Nothing is fetched and nothing runs: the one style is named by its hash. */
export const EVENT_TYPE_PAGE_HEADERS = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/** An event type as a page for people. Whatever a tenant wrote is escaped. */
export function eventTypePage(type: EventType, versions: EventTypeVersion[]): string {
  const name = escapeHtml(type.name);
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${name}</title><style>${STYLE}</style></head>
<body>
<h1>${name}</h1>
${type.deprecated ? '<p class="note">This event type is deprecated.</p>' : ''}
<p>${escapeHtml(type.description ?? 'No description.')}</p>
${type.keyFields.length > 0 ? `<p>Minimal payload: ${type.keyFields.map(code).join(', ')}</p>` : ''}
${versions.length > 0 ? [...versions].reverse().map(section).join('\n') : '<p>No versions are described.</p>'}
</body>
</html>
`;
}

function section({ version, schema, example }: EventTypeVersion): string {
  return `<h2>Version ${escapeHtml(version)}</h2>
${schema ? table(schema) : '<p>No schema: any data is accepted.</p>'}
${example ? `<h3>Example</h3>\n<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>` : ''}`;
}

function table(schema: JsonObject): string {
  const { fields, more } = schemaFields(schema);
  const rows = fields.map(row).join('\n');
  return `<table>
<thead><tr><th>field</th><th>type</th><th>required</th><th></th></tr></thead>
<tbody>
${rows}
</tbody>
</table>
${more ? '<p>Further fields are in the schema.</p>' : ''}`;
}

const row = ({ path, type, required, description }: SchemaField) =>
  `<tr><td>${code(path)}</td><td>${escapeHtml(type)}</td><td>${required ? 'yes' : ''}</td><td>${escapeHtml(description)}</td></tr>`;

const code = (text: string) => `<code>${escapeHtml(text)}</code>`;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
