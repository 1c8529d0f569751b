import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, sql } from './support';

/** An installation that allows http, and no address that is not public. */
let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({ POSTHORN_ALLOWED_CIDRS: '' }, { worker: false });
});
afterAll(() => posthorn?.stop());

const BLOCKED = [
  'http://169.254.169.254/',
  'http://169.254.169.254/latest/meta-data/?x=1',
  'https://[::1]/',
  'https://127.0.0.1:8443/',
  'https://127.1/',
  'https://0x7f000001/',
  'https://0177.0.0.1/',
  'https://2130706433/',
  'https://10.0.0.1/',
  'https://192.168.1.1/',
  'https://0.0.0.0/',
  'https://[::ffff:127.0.0.1]/',
  'https://[fd00::1]/',
  'https://[fe80::1]/',
  'https://localhost/',
];
const count = () => sql(posthorn, 'select count(*) from webhooks');

test.each(BLOCKED)('%s is refused where a webhook is made', async (url) => {
  const before = await count();
  expectBadField(await posthorn.api.call('POST', '/webhooks', { url, events: ['*'] }), 'url', /^blocked_address: /);
  expect(await count()).toEqual(before);
});

test.each(['http://93.184.215.14/', 'https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/hook', 'https://name.invalid/'])(
  '%s is taken: public, or not known yet',
  async (url) => {
    const made = await posthorn.api.call('POST', '/webhooks', { url, events: ['*'] });
    expect(made).toMatchObject({ status: 201, body: { url } });
  },
);

test('a webhook cannot be moved to such a place either', async () => {
  const { id } = await posthorn.api.ok('POST', '/webhooks', { url: 'https://93.184.215.14/', events: ['*'] });
  const before = await posthorn.api.ok('GET', `/webhooks/${id}`);
  for (const url of BLOCKED) {
    expectBadField(await posthorn.api.call('PATCH', `/webhooks/${id}`, { url }), 'url', /^blocked_address: /);
  }
  expect(await posthorn.api.ok('GET', `/webhooks/${id}`)).toEqual(before);
});
