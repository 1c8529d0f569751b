import { type Installation, startInstallation } from '../support/installation';
import { startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { expectBadField, expectProblem, sql } from './support';

/** Two editors of one webhook: the one who read it first does not undo what the other has done (RFC 9110 13.1.1). */

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation();
});
afterAll(() => posthorn?.stop());

const STALE = { status: 412, code: 'precondition_failed' };
const url = 'http://127.0.0.1:9/hook';
const create = () => posthorn.api.call('POST', '/webhooks', { url, events: ['nothing.at.all'] });
const read = (id: string) => posthorn.api.call('GET', `/webhooks/${id}`);
const patch = (id: string, body: object, ifMatch?: string) =>
  posthorn.api.call('PATCH', `/webhooks/${id}`, body, ifMatch === undefined ? {} : { 'if-match': ifMatch });
const etagOf = async (id: string) => (await read(id)).headers.get('etag')!;

test('every answer with one webhook has its version as a strong entity tag', async () => {
  const created = await create();
  const { id } = created.body;
  const answers = [created, await read(id), await patch(id, { description: 'x' })];
  for (const move of ['pause', 'resume', 'disable', 'enable', 'verify?wait=true']) {
    answers.push(await posthorn.api.call('POST', `/webhooks/${id}/${move}`));
  }
  for (const { headers, body } of answers) expect(headers.get('etag')).toBe(`"${body.version}"`);
  expect(answers.map(({ body }) => body.version)).toEqual([1, 1, 2, 3, 4, 5, 6, 6]);
});

test('the tag changes with what an editor edits, and with nothing else', async () => {
  const { id } = (await create()).body;
  const before = await etagOf(id);
  await posthorn.api.ok('POST', `/webhooks/${id}/secret/rotate`);
  await posthorn.api.ok('POST', `/webhooks/${id}/resume`);
  expect(await etagOf(id)).toBe(before);
  await posthorn.api.ok('POST', `/webhooks/${id}/pause`);
  const paused = await etagOf(id);
  expect(paused).not.toBe(before);
  await posthorn.api.ok('POST', `/webhooks/${id}/pause`);
  expect(await etagOf(id)).toBe(paused);
});

test('a webhook that Posthorn disables has another tag: its `active` has changed', async () => {
  const receiver = await startReceiver(() => ({ status: 410 }));
  try {
    const { id } = await posthorn.api.createWebhook(receiver, { events: ['gone.soon'] });
    const before = await etagOf(id);
    await posthorn.api.publish('gone.soon');
    await until('it to be disabled', async () => (await read(id)).body.status === 'disabled');
    expectProblem(await patch(id, { active: true }, before), STALE);
    expect((await read(id)).body).toMatchObject({ status: 'disabled', status_reason: 'gone', active: false });
  } finally {
    await receiver.close();
  }
});

test.each([
  ['the tag', '"1"', {}],
  ['any', '*', {}],
  ['one of several', '"7", "1"', {}],
  ['the version in the body', undefined, { version: 1 }],
  ['both', '"1"', { version: 1 }],
  ['neither', undefined, {}],
])('a change with %s is made', async (_what, ifMatch, more) => {
  const { id } = (await create()).body;
  const answer = await patch(id, { description: 'new', ...more }, ifMatch);
  expect(answer).toMatchObject({ status: 200, body: { description: 'new', version: 2 } });
  expect(answer.headers.get('etag')).toBe('"2"');
});

test.each([
  ['an older tag', '"0"', {}],
  ['several of which none is it', '"7","8"', {}],
  ['a weak tag', 'W/"1"', {}],
  ['no entity tag at all inside', '""', {}],
  ['another version in the body', undefined, { version: 2 }],
  ['a tag that holds and a version that does not', '"1"', { version: 2 }],
  ['a version that holds and a tag that does not', '"2"', { version: 1 }],
  ['any, and a version that does not hold', '*', { version: 3 }],
])('a change with %s changes nothing', async (_what, ifMatch, more) => {
  const { id } = (await create()).body;
  const before = (await read(id)).body;
  expectProblem(await patch(id, { description: 'new', events: ['other.type'], ...more }, ifMatch), STALE);
  expect((await read(id)).body).toEqual(before);
  const log = await sql(posthorn, `select action from audit_log where target = $1 and action = 'webhook.update'`, [id]);
  expect(log).toEqual([]);
});

test('of many editors with one version, a single one gets through', async () => {
  const { id } = (await create()).body;
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, n) => patch(id, { description: `editor ${n}` }, '"1"')),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(412)]);
  const made = answers.find(({ status }) => status === 200)!;
  expect((await read(id)).body).toMatchObject({ description: made.body.description, version: 2 });
});

test.each(['1', '"1', '1"', '"1" "2"', 'W/1', '', Array(21).fill('"1"').join(',')])(
  'If-Match %j is not a list of tags',
  async (ifMatch) => {
    const { id } = (await create()).body;
    expectBadField(await patch(id, { description: 'new' }, ifMatch), 'If-Match', /entity tags/);
  },
);

test('a version alone changes nothing, and a webhook that is not there is not found', async () => {
  const { id } = (await create()).body;
  expectProblem(await patch(id, { version: 1 }), { status: 422, code: 'validation_failed' });
  expectBadField(await patch(id, { description: 'new', version: '1' }), 'version', /number/);
  await posthorn.api.ok('DELETE', `/webhooks/${id}`);
  expectProblem(await patch(id, { description: 'new' }, '"1"'), { status: 404, code: 'not_found' });
});

test('a webhook that was changed in the meantime is not deleted either', async () => {
  const { id } = (await create()).body;
  await patch(id, { description: 'new' });
  const remove = (ifMatch: string) =>
    posthorn.api.call('DELETE', `/webhooks/${id}`, undefined, { 'if-match': ifMatch });
  expectProblem(await remove('"1"'), STALE);
  expect((await read(id)).status).toBe(200);
  expect((await remove('"2"')).status).toBe(204);
});
