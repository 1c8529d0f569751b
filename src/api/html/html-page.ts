import { createHash } from 'node:crypto';
import { Html, html } from './html';

/** Names and headings keep their words; a long name, path or pattern is broken before it makes a page too wide. */
const STYLE = `
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1c1c1c;background:#fff;
overflow-wrap:break-word}
a{color:#0b5cad}code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f3f3f3;padding:.75rem;overflow-x:auto}
h1 code{font-size:inherit;font-weight:inherit}h3 code{font-size:1.1rem;font-weight:600}h2{margin-top:3rem}h3{margin-top:2.5rem}
h4{margin:1.25rem 0 .25rem}ul{padding-left:1.25rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;
border-bottom:1px solid #ddd}td:last-child{overflow-wrap:anywhere}
.paths td:first-child{width:35%;min-width:4.5rem;overflow-wrap:anywhere}
.method{text-transform:uppercase}.note{background:#fff3d6;padding:.6rem 1rem}
@media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}a{color:#7db7f0}pre{background:#242424}
th,td{border-color:#3a3a3a}.note{background:#4a3a12}}
@media (max-width:30rem){th,td{padding-right:.4rem}code,pre{font-size:13px}td+td code{overflow-wrap:anywhere}}`;

/** What goes with every page: its one style is named by its hash, and nothing else is fetched or runs. */
export const HTML_PAGE_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/** A whole page for people; to be sent with {@link HTML_PAGE_HEADERS}. */
export function htmlPage(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Html(STYLE)}</style></head>
<body>
${body}
</body></html>
`.text;
}
