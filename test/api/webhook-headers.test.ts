import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, sql } from './support';

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const url = 'http://127.0.0.1:9/hook';
const VALUE = 'Bearer tok-5f3a9c';
const REDACTED = '[redacted]';
const create = (headers: unknown) => posthorn.api.call('POST', '/webhooks', { url, events: ['*'], headers });

/** All that is stored of webhooks and of who changed them, as text. */
async function stored(): Promise<string> {
  const rows = await sql(posthorn, 'select w::text from webhooks w union all select a::text from audit_log a');
  return JSON.stringify(rows);
}

describe('own headers of a webhook', () => {
  test('are shown by name, their values nowhere, and lie sealed in the database', async () => {
    const { api } = posthorn;
    const made = await create({ Authorization: VALUE, 'X-Team': 'billing' });
    expect(made.status).toBe(201);
    const { id, headers } = made.body;
    expect(headers).toEqual({ Authorization: REDACTED, 'X-Team': REDACTED });
    const shown = [
      made.body,
      await api.ok('GET', `/webhooks/${id}`),
      await api.ok('PATCH', `/webhooks/${id}`, { description: 'x' }),
      await api.ok('GET', '/webhooks'),
    ];
    expect(shown.slice(1, 3).map((one) => one.headers)).toEqual([headers, headers]);
    for (const text of [JSON.stringify(shown), await stored()]) {
      expect(text).toContain('127.0.0.1:9');
      expect(text).not.toMatch(/tok-5f3a9c|billing/);
    }
    const [row] = await sql<{ sealed: string }>(
      posthorn,
      'select sealed_headers as sealed from webhooks order by id desc',
    );
    expect(row!.sealed).toMatch(/^t1\.[\w-]+$/);
    expect(Buffer.from(row!.sealed.slice('t1.'.length), 'base64url').toString('latin1')).not.toContain('tok-5f3a9c');
  });

  test('are replaced as a whole by PATCH, and removed by an empty object', async () => {
    const { api } = posthorn;
    const { id } = (await create({ a: '1', b: '2' })).body;
    const patched = await api.ok('PATCH', `/webhooks/${id}`, { headers: { b: '3', c: '' } });
    expect(patched.headers).toEqual({ b: REDACTED, c: REDACTED });
    expect((await api.ok('PATCH', `/webhooks/${id}`, { headers: {} })).headers).toEqual({});
    expect(await sql(posthorn, 'select sealed_headers from webhooks order by id desc limit 1')).toEqual([
      { sealed_headers: null },
    ]);
  });

  test.each<[string, unknown, RegExp]>([
    ['a name that Posthorn sets', { 'webhook-signature': 'x' }, /"webhook-signature" is set by Posthorn/],
    ['such a name in capitals', { 'Content-Type': 'text/plain' }, /"content-type" is set by Posthorn/],
    ['a name that frames the message', { 'Transfer-Encoding': 'chunked' }, /"transfer-encoding" is set by Posthorn/],
    ['the host', { host: 'internal' }, /"host" is set by Posthorn/],
    ['another signature', { 'X-Hub-Signature-256': 'sha256=00' }, /"x-hub-signature-256" is set by Posthorn/],
    ['an empty name', { '': 'x' }, /not a valid HTTP token/],
    ['a name with a space', { 'a b': 'x' }, /not a valid HTTP token/],
    ['a name with a line break', { 'a\r\nb': 'x' }, /not a valid HTTP token/],
    ['a value with a line break', { a: 'x\r\nhost: internal' }, /printable ASCII/],
    ['a value with a NUL', { a: 'x\0' }, /printable ASCII/],
    ['a value with another control character', { a: 'x\x7f' }, /printable ASCII/],
    ['a value beyond ASCII', { a: 'ü' }, /printable ASCII/],
    ['a long value', { a: 'x'.repeat(4_097) }, /longer than 4096/],
    ['a long name', { ['a'.repeat(129)]: 'x' }, /longer than 128/],
    ['two names that differ in case only', { 'x-team': '1', 'X-Team': '2' }, /"X-Team" is given twice/],
    ['a name that receivers fold into a reserved one', { X_Webhook_Id: 'x' }, /"x-webhook-id" to many receivers/],
    ['two names that receivers fold into one', { 'x-team': '1', x_team: '2' }, /"x_team" is given twice/],
    ['the placeholder', { authorization: REDACTED }, /placeholder/],
    ['too many', Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`x-${i}`, ''])), /at most 20/],
    ['a list', ['a: b'], /an object whose values are texts/],
    ['nothing', null, /an object whose values are texts/],
  ])('are refused with %s', async (_, headers, rule) => {
    const before = await stored();
    expectBadField(await create(headers), 'headers', rule);
    expect(await stored()).toBe(before);
  });

  test('are refused with a value that is no text, which is named by its header', async () => {
    expectBadField(await create({ a: 5 }), 'headers.a', /must be a text/);
  });

  test('are refused by PATCH as well, and what was refused is not repeated', async () => {
    const { id } = (await create({ a: '1' })).body;
    const answer = await posthorn.api.call('PATCH', `/webhooks/${id}`, { headers: { a: `${VALUE}\n` } });
    expectBadField(answer, 'headers', /printable ASCII/);
    expect(JSON.stringify(answer.body)).not.toContain('tok-5f3a9c');
  });

  test('as they are shown are the ones that are stored', async () => {
    const { id } = (await create({ a: VALUE, b: '1' })).body;
    const { headers } = await posthorn.api.ok('GET', `/webhooks/${id}`);
    expect(await posthorn.api.ok('PATCH', `/webhooks/${id}`, { headers: { ...headers, c: '2' } })).toMatchObject({
      headers: { a: REDACTED, b: REDACTED, c: REDACTED },
    });
    await posthorn.api.ok('PATCH', `/webhooks/${id}`, { headers: { a: REDACTED } });
    expectBadField(
      await posthorn.api.call('PATCH', `/webhooks/${id}`, { headers: { b: REDACTED } }),
      'headers',
      /placeholder/,
    );
  });
});
