import { type Installation, startInstallation } from '../support/installation';
import { expectProblem, otherTenant } from './support';

const MOST = 5;
const REFUSED = { status: 409, code: 'state_conflict' };
const body = { url: 'https://example.com/hook', events: ['a'] };

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({ POSTHORN_MAX_WEBHOOKS_PER_TENANT: String(MOST) }, { worker: false });
});
afterAll(() => posthorn?.stop());

test('a tenant has no more webhooks than it may, also where they are made at once; deleted ones do not count', async () => {
  const { api } = posthorn;
  const answers = await Promise.all(Array.from({ length: 4 * MOST }, () => api.call('POST', '/webhooks', body)));
  const made = answers.filter(({ status }) => status === 201);
  expect(made).toHaveLength(MOST);
  for (const answer of answers.filter(({ status }) => status !== 201)) {
    expectProblem(answer, REFUSED);
    expect(answer.body.detail).toContain(`${MOST} webhooks`);
  }
  expect((await api.ok('GET', '/webhooks')).data).toHaveLength(MOST);
  // What was refused is not in the log.
  expect((await api.ok('GET', '/audit-log?action=webhook.create')).data).toHaveLength(MOST);

  expectProblem(await api.call('POST', '/webhooks/subscribe', body), REFUSED);
  await api.ok('DELETE', `/webhooks/${made[0]!.body.id}`);
  await api.ok('POST', '/webhooks/subscribe', body);
  expectProblem(await api.call('POST', '/webhooks', body), REFUSED);
});

test('another tenant has a limit of its own', async () => {
  const other = await otherTenant(posthorn);
  for (let n = 0; n < MOST; n++) await other.ok('POST', '/webhooks', body);
  expectProblem(await other.call('POST', '/webhooks', body), REFUSED);
});
