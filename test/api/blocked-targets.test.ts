import { networkInterfaces } from 'node:os';
import { createValidator } from '../../src/api/publish/data-validator';
import { createWebhookBody } from '../../src/api/schemas/webhooks';
import { allAtOnce, WorkBudget } from '../../src/domain/work-budget';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, sql } from './support';

/** An installation that allows http, no address that is not public, and some of those not either. */
let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation(
    { POSTHORN_ALLOWED_CIDRS: '', POSTHORN_DENIED_CIDRS: '93.184.216.0/24,2606:4700::/32' },
    { worker: false },
  );
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
  // Denied by this installation.
  'https://93.184.216.34/',
  'https://[2606:4700::1]/',
  'https://[::ffff:93.184.216.34]/',
  // Of the network that we are in.
  'http://postgres/',
  'https://intranet./',
  'http://postgres:5432/',
  'https://münchen/',
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

test('this machine’s own addresses are refused', async () => {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  for (const { address, family } of own) {
    const url = `http://${family === 'IPv6' ? `[${address}]` : address}:8420/`;
    expectBadField(await posthorn.api.call('POST', '/webhooks', { url, events: ['*'] }), 'url', /^blocked_address: /);
  }
});

describe('international names', () => {
  const IDN: [text: string, href: string][] = [
    ['https://münchen.example/hook', 'https://xn--mnchen-3ya.example/hook'],
    ['https://straße.example/', 'https://xn--strae-oqa.example/'],
    ['https://例え.example/', 'https://xn--r8jz45g.example/'],
    ['https://example.com/ÿ', 'https://example.com/%C3%BF'],
  ];
  const BAD = ['https://ü ü/', 'https://ÿ<>/', 'https://xn--ÿ.example/', 'https://\u00ad/'];

  test('are taken, and bad ones refused, by an api that has parsed a hundred thousand of them', async () => {
    const texts = [...IDN.map(([text]) => text), ...BAD];
    for (let n = 0; n < 100_000; n++) createWebhookBody.shape.url.safeParse(texts[n % texts.length]);
    for (const [url, href] of IDN) {
      const made = await posthorn.api.call('POST', '/webhooks', { url, events: ['*'] });
      expect(made).toMatchObject({ status: 201, body: { url: href } });
    }
    for (const url of BAD) {
      const answer = await posthorn.api.call('POST', '/webhooks', { url, events: ['*'] });
      expectBadField(answer, 'url', /^must be an absolute URL$/);
    }
  });

  test('are no uri in data, where their ASCII forms are', () => {
    const schema = {
      type: 'object',
      properties: { links: { type: 'array', items: { type: 'string', format: 'uri' } } },
    };
    const { check } = createValidator(JSON.stringify(schema));
    const validate = (data: unknown) =>
      allAtOnce(check(data, JSON.stringify(data), new WorkBudget(Number.POSITIVE_INFINITY)));
    const links = Array.from({ length: 1_000 }, (_, n) => IDN[n % IDN.length]![1]);
    for (let n = 0; n < 100; n++) expect(validate({ links })).toEqual([]);
    for (const bad of [...BAD, ...IDN.map(([text]) => text)])
      expect(validate({ links: [bad] })).toMatchObject([{ field: 'data.links.0' }]);
  });
});
