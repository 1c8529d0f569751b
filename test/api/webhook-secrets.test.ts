import { createSecretBox, parseEncryptionKeys } from '../../src/crypto/secret-box';
import { type Database, openDatabase } from '../../src/db/database';
import { loadAttempts } from '../../src/db/queue/load-attempt';
import { parsePublicId } from '../../src/domain/ids';
import { generateSecret, secretProblem } from '../../src/egress/signatures';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, expectProblem, otherTenant, sql } from './support';

const DAY_MS = 86_400_000;
const MAX_SIGNING = 5;

let posthorn: Installation;
let db: Database;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  db = openDatabase({ url: posthorn.databaseUrl, poolSize: 2, applicationName: 'test', planner: 'default' });
});
afterAll(async () => {
  await db?.close();
  await posthorn?.stop();
});

let made = 0;
async function webhook() {
  const type = `secrets.n${++made}`;
  const url = 'http://127.0.0.1:9/hook';
  const { id, secret } = await posthorn.api.createWebhook({ url }, { url, events: [type] });
  const delivery = await posthorn.api.onlyDelivery((await posthorn.api.publish(type)).id);
  return { id, secret, delivery };
}
const getSecret = (id: string) => posthorn.api.call('GET', `/webhooks/${id}/secret`);
const rotate = (id: string, body?: object) => posthorn.api.call('POST', `/webhooks/${id}/secret/rotate`, body);

/** The secrets that an attempt made now would sign with, the current one first. */
async function signing(delivery: string): Promise<string[]> {
  const box = createSecretBox(parseEncryptionKeys(posthorn.env.POSTHORN_ENCRYPTION_KEYS!));
  const key = { deliveryId: parsePublicId('delivery', delivery)!, number: 1 };
  const [facts] = await loadAttempts(db.pool, [key]);
  const owner = { tenantId: facts!.tenantId, webhookId: facts!.webhook!.id };
  return facts!.webhook!.sealedSecrets.map(({ sealed }) => box.open(sealed, owner));
}

describe('the secret of a webhook', () => {
  test('is shown to who asks for it, not to be stored on the way, and the log tells of it', async () => {
    const { id, secret } = await webhook();
    const answer = await getSecret(id);
    expect(answer).toMatchObject({ status: 200, body: { secret, created_at: expect.any(String), previous: [] } });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const log = await sql(posthorn, 'select action, details from audit_log where target = $1 order by id', [id]);
    expect(log).toEqual([
      { action: 'webhook.create', details: {} },
      { action: 'webhook.secret.read', details: {} },
    ]);
  });

  test('is neither shown to another tenant nor rotated by it', async () => {
    const { id, secret, delivery } = await webhook();
    const other = await otherTenant(posthorn);
    expectProblem(await other.call('GET', `/webhooks/${id}/secret`), { status: 404, code: 'not_found' });
    expectProblem(await other.call('POST', `/webhooks/${id}/secret/rotate`), { status: 404, code: 'not_found' });
    expect(await signing(delivery)).toEqual([secret]);
    expect(await sql(posthorn, 'select action from audit_log where target = $1', [id])).toHaveLength(1);
  });
});

describe('rotation', () => {
  test('makes a new secret that signs first, and the previous one signs along for a day', async () => {
    const { id, secret, delivery } = await webhook();
    const answer = await rotate(id);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(secretProblem(answer.body.secret)).toBeUndefined();
    expect(await signing(delivery)).toEqual([answer.body.secret, secret]);

    const { body } = await getSecret(id);
    expect(body).toMatchObject({ secret: answer.body.secret, previous: [{ created_at: expect.any(String) }] });
    // Both are of the one transaction.
    expect(Date.parse(body.previous[0].expires_at) - Date.parse(body.created_at)).toBe(DAY_MS);
    const log = await sql(
      posthorn,
      `select details from audit_log where target = $1 and action = 'webhook.secret.rotate'`,
      [id],
    );
    expect(log).toEqual([{ details: {} }]);
  });

  test('takes a secret and a grace that are given, and the previous one ends with the grace', async () => {
    const { id, secret, delivery } = await webhook();
    const own = generateSecret();
    const answer = await rotate(id, { secret: own, grace: '2h' });
    expect(answer.body).toEqual({ secret: own, previous_sign_until: expect.any(String) });
    const { body } = await getSecret(id);
    expect(Date.parse(body.previous[0].expires_at) - Date.parse(body.created_at)).toBe(DAY_MS / 12);
    expect(await signing(delivery)).toEqual([own, secret]);

    await sql(posthorn, `update webhook_secrets set expires_at = now() - interval '1 ms' where expires_at is not null`);
    expect(await signing(delivery)).toEqual([own]);
    expect((await getSecret(id)).body).toMatchObject({ secret: own, previous: [] });
  });

  test('without grace ends all that were before it at once', async () => {
    const { id, delivery } = await webhook();
    await rotate(id);
    const { body } = await rotate(id, { grace: '0s' });
    expect(await signing(delivery)).toEqual([body.secret]);
    expect((await getSecret(id)).body).toMatchObject({ secret: body.secret, previous: [] });
  });

  test('does not lengthen the time of one that ends sooner', async () => {
    const { id } = await webhook();
    await rotate(id, { grace: '1h' });
    const [first] = (await getSecret(id)).body.previous;
    await rotate(id, { grace: '30d' });
    const { previous } = (await getSecret(id)).body;
    expect(previous).toHaveLength(2);
    expect(previous[1]).toEqual(first);
  });

  test('lets no more than five sign, the newest', async () => {
    const { id, delivery } = await webhook();
    const secrets: string[] = [];
    for (let i = 0; i < MAX_SIGNING + 2; i++) secrets.unshift((await rotate(id)).body.secret);
    expect(await signing(delivery)).toEqual(secrets.slice(0, MAX_SIGNING));
    expect((await getSecret(id)).body.previous).toHaveLength(MAX_SIGNING - 1);
  });

  test('of one webhook leaves those of another', async () => {
    const [one, other] = [await webhook(), await webhook()];
    await rotate(one.id, { grace: '0s' });
    expect(await signing(other.delivery)).toEqual([other.secret]);
  });

  test.each<[string, object, string, RegExp]>([
    ['a secret of its own kind', { secret: 'hunter2' }, 'secret', /24 to 64 bytes/],
    ['a weak secret', { secret: `whsec_${'A'.repeat(28)}` }, 'secret', /24 to 64 bytes/],
    ['a secret that is none', { secret: null }, 'secret', /must be a secret such as/],
    ['a grace above 30 days', { grace: '31d' }, 'grace', /from 0ms to 30d/],
    ['a grace below nothing', { grace: '-1s' }, 'grace', /from 0ms to 30d/],
    ['a grace in numbers', { grace: 5 }, 'grace', /a duration from/],
    ['an unknown member', { expires: '1d' }, 'expires', /is not known here/],
  ])('refuses %s, and nothing changes', async (_, body, field, rule) => {
    const { id, secret, delivery } = await webhook();
    const answer = await rotate(id, body);
    expectBadField(answer, field, rule);
    expect(JSON.stringify(answer.body)).not.toMatch(/hunter2|AAAA/);
    expect(await signing(delivery)).toEqual([secret]);
  });
});

test('no secret, current or previous, is anywhere but where it is asked for', async () => {
  const { api } = posthorn;
  const { id, secret } = await webhook();
  const next = (await rotate(id)).body.secret;
  await getSecret(id);
  const shown = [
    await api.ok('GET', `/webhooks/${id}`),
    await api.ok('GET', '/webhooks?limit=200'),
    await api.ok('PATCH', `/webhooks/${id}`, { description: 'x' }),
    await api.ok('POST', `/webhooks/${id}/pause`),
    await api.ok('POST', `/webhooks/${id}/resume`),
    await sql(posthorn, 'select * from webhook_secrets'),
    await sql(posthorn, 'select * from audit_log'),
  ];
  const text = JSON.stringify(shown);
  expect(text).toContain(id);
  for (const known of [secret, next]) expect(text).not.toContain(known.slice('whsec_'.length));
  expect(text).not.toContain('whsec_');
});
