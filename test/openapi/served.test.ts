import { createHash } from 'node:crypto';
import { request } from 'undici';
import { docsPage } from '../../src/api/openapi/docs-page';
import { buildDocument, type OpenApiDocument } from '../../src/api/openapi/document';
import { route } from '../../src/api/route';
import { routes } from '../../src/api/routes';
import { type Installation, startInstallation } from '../support/installation';

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${posthorn.api.url}${path}`, { headers, redirect: 'manual' });

describe('/openapi.json', () => {
  test('is the document, without a key', async () => {
    const answer = await get('/openapi.json');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(buildDocument(routes))));
  });

  test('may be kept for a while, and is not sent twice', async () => {
    // Not by fetch, which would ask every cache on the way for a fresh one.
    const ask = (headers: Record<string, string> = {}) => request(`${posthorn.api.url}/openapi.json`, { headers });
    const answer = await ask();
    await answer.body.dump();
    expect(answer.headers['cache-control']).toBe('public, max-age=300');
    const again = await ask({ 'if-none-match': String(answer.headers.etag) });
    expect({ status: again.statusCode, body: await again.body.text() }).toEqual({ status: 304, body: '' });
    const other = await ask({ 'if-none-match': '"other"' });
    expect({ status: other.statusCode, body: await other.body.json() }).toMatchObject({
      status: 200,
      body: { openapi: '3.1.1' },
    });
  });

  test('is answered from where it says the API is', async () => {
    const { servers, paths } = (await (await get('/openapi.json')).json()) as OpenApiDocument;
    expect(paths['/events']?.get).toBeDefined();
    expect((await get(`${servers[0]!.url}/events`)).status).toBe(401);
  });
});

describe('/docs', () => {
  test('allows its own style and nothing else', async () => {
    const answer = await get('/docs');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    const style = /<style>([\s\S]*?)<\/style>/.exec(await answer.text())![1]!;
    const hash = createHash('sha256').update(style).digest('base64');
    expect(answer.headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
  });

  test('loads nothing from elsewhere, and every link in it leads to something', async () => {
    const page = await (await get('/docs')).text();
    expect(page).not.toMatch(/<(script|img|link|iframe|object|embed)|\s(src|style|on\w+)=|url\(|@import/i);
    const links = [...page.matchAll(/href="([^"]*)"/g)].map(([, to]) => to!);
    expect(links.length).toBeGreaterThan(routes.length);
    const anchors = new Set([...page.matchAll(/id="([^"]*)"/g)].map(([, id]) => `#${id}`));
    expect(links.filter((to) => to !== '/openapi.json' && !anchors.has(to))).toEqual([]);
  });

  test('shows every operation with its parameters, body, answers and an example', async () => {
    const page = await (await get('/docs')).text();
    for (const { method, path } of routes) {
      const shown = path.replace(/:(\w+)/g, '{$1}');
      expect(page).toContain(`<span class="method">${method}</span> ${shown}</code></h3>`);
    }
    const [, publish = ''] = page.split('<h3 id="post_events">');
    const section = publish.split('<h3')[0]!;
    for (const part of ['Needs the scope <code>publish</code>', '<code>priority</code>', 'PublishedEvent']) {
      expect(section).toContain(part);
    }
    expect(section).toContain('curl -X POST &#34;$POSTHORN_URL/api/v1/events&#34;');
    expect(section).toContain('&#34;type&#34;:&#34;order.created&#34;');
  });

  test('escapes what it is made of', () => {
    const nasty = `<script>alert("x")</script>'&`;
    const row = route({
      method: 'get',
      path: '/a',
      scope: 'read',
      handler: async () => ({ status: 200 }),
      doc: { tag: nasty, summary: nasty, answers: { 204: null } },
    });
    const page = docsPage(buildDocument([row]));
    expect(page).not.toContain('<script');
    expect(page).toContain('&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;&#39;&#38;');
  });
});
