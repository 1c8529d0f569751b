import { createSecretBox, parseEncryptionKeys } from '../../src/crypto/secret-box';
import { type Database, openDatabase } from '../../src/db/database';
import { loadAttempts } from '../../src/db/queue/load-attempt';
import { parsePublicId } from '../../src/domain/ids';
import { secretWeakness, toSigningSecrets } from '../../src/egress/secrets';
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
  return (await facts(delivery)).map(({ secret }) => secret);
}

/** The secret with which it would sign in a style that carries one signature. */
async function single(delivery: string): Promise<string> {
  return toSigningSecrets(await facts(delivery)).single.text.toString();
}

async function facts(delivery: string) {
  const box = createSecretBox(parseEncryptionKeys(posthorn.env.POSTHORN_ENCRYPTION_KEYS!));
  const key = { deliveryId: parsePublicId('delivery', delivery)!, number: 1 };
  const [loaded] = await loadAttempts(db.pool, [key]);
  const owner = { tenantId: loaded!.tenantId, webhookId: loaded!.webhook!.id };
  return loaded!.webhook!.sealedSecrets.map(({ sealed, switched }) => ({ secret: box.open(sealed, owner), switched }));
}

describe('the secret of a webhook', () => {
  test('is shown to who asks for it, not to be stored on the way, and the log tells of it', async () => {
    const { id, secret } = await webhook();
    const answer = await getSecret(id);
    const body = { secret, created_at: expect.any(String), switch_at: null, previous: [] };
    expect(answer).toMatchObject({ status: 200, body });
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
    expect(secretWeakness(answer.body.secret)).toBeUndefined();
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
    const own = 'c0ffee5ecde7f0a19b3864d2';
    const answer = await rotate(id, { secret: own, grace: '2h' });
    expect(answer.body).toEqual({
      secret: own,
      previous_sign_until: expect.any(String),
      switch_at: answer.body.previous_sign_until,
    });
    const { body } = await getSecret(id);
    expect(Date.parse(body.previous[0].expires_at) - Date.parse(body.created_at)).toBe(DAY_MS / 12);
    expect(await signing(delivery)).toEqual([own, secret]);

    await sql(posthorn, `update webhook_secrets set expires_at = now() - interval '1 ms' where expires_at is not null`);
    expect(await signing(delivery)).toEqual([own]);
    expect((await getSecret(id)).body).toMatchObject({ secret: own, previous: [] });
  });

  test('goes on with the old secret in styles that carry one signature, until the switch', async () => {
    const { id, secret, delivery } = await webhook();
    expect(await single(delivery)).toBe(secret);
    const later = (ms: number) => new Date(Date.now() + ms).toISOString();
    const switchAt = later(DAY_MS / 24);
    const first = await rotate(id, { switch_at: switchAt });
    expect(first.body.switch_at).toBe(switchAt);
    expect(await single(delivery)).toBe(secret);
    expect((await getSecret(id)).body).toMatchObject({ secret: first.body.secret, switch_at: switchAt });

    // Another one meanwhile, to change to sooner: the first is passed over.
    const second = await rotate(id, { switch_at: later(DAY_MS / 48) });
    expect(await single(delivery)).toBe(secret);
    await sql(posthorn, 'update webhook_secrets set switch_at = now() where switch_at < $1', [switchAt]);
    expect(await single(delivery)).toBe(second.body.secret);
    expect((await getSecret(id)).body.switch_at).toBeNull();
  });

  test.each([
    ['a switch in the past', { switch_at: '2026-01-01T00:00:00Z' }],
    ['no grace', { grace: '0s' }],
  ])('with %s changes all styles at once', async (_, body) => {
    const { id, delivery } = await webhook();
    const answer = await rotate(id, body);
    expect(await single(delivery)).toBe(answer.body.secret);
    expect((await getSecret(id)).body.switch_at).toBeNull();
  });

  test('changes them with the end of the old secret, if no switch is named', async () => {
    const { id, secret, delivery } = await webhook();
    const answer = await rotate(id, { grace: '2h' });
    expect(answer.body.switch_at).toBe(answer.body.previous_sign_until);
    expect(await single(delivery)).toBe(secret);
    await sql(posthorn, `update webhook_secrets set expires_at = now() - interval '1 ms' where expires_at is not null`);
    expect(await single(delivery)).toBe(answer.body.secret);
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
    ['a short secret', { secret: 'hunter2' }, 'secret', /too weak: it has 7 characters/],
    ['a weak secret', { secret: `whsec_${'A'.repeat(28)}` }, 'secret', /too weak: .*openssl rand -hex 32/],
    ['the example of a documentation', { secret: 'user-generated-secret' }, 'secret', /too weak: .* example/],
    ['a secret that is none', { secret: null }, 'secret', /must be a secret/],
    ['a grace above 30 days', { grace: '31d' }, 'grace', /from 0ms to 30d/],
    ['a grace below nothing', { grace: '-1s' }, 'grace', /from 0ms to 30d/],
    ['a grace in numbers', { grace: 5 }, 'grace', /a duration from/],
    ['a switch after the grace', { grace: '1h', switch_at: '2099-01-01T00:00:00Z' }, 'switch_at', /end of the grace/],
    ['a switch that is no time', { switch_at: 'tomorrow' }, 'switch_at', /RFC 3339/],
    ['an unknown member', { expires: '1d' }, 'expires', /is not known here/],
  ])('refuses %s, and nothing changes', async (_, body, field, rule) => {
    const { id, secret, delivery } = await webhook();
    const answer = await rotate(id, body);
    expectBadField(answer, field, rule);
    expect(JSON.stringify(answer.body)).not.toMatch(/hunter2|AAAA/);
    expect(await signing(delivery)).toEqual([secret]);
  });
});

describe('an installation for development', () => {
  let dev: Installation;
  beforeAll(async () => {
    dev = await startInstallation({ POSTHORN_ALLOW_WEAK_SECRETS: 'true' }, { worker: false });
  });
  afterAll(() => dev?.stop());
  const url = 'http://127.0.0.1:9/hook';

  test.each(['whsec_abc123...', 'user-generated-secret', 'hunter2'])('accepts %j with a warning', async (secret) => {
    const rule = expect.stringMatching(/^is too weak: .*openssl rand -hex 32/);
    const made = await dev.api.call('POST', '/webhooks', { url, events: ['*'], secret });
    expect(made).toMatchObject({ status: 201, body: { secret, warnings: [{ field: 'secret', rule }] } });
    const id = made.body.id;
    expect((await dev.api.ok('GET', `/webhooks/${id}/secret`)).secret).toBe(secret);
    expect(await dev.api.ok('GET', `/webhooks/${id}`)).not.toHaveProperty('warnings');
    const rotated = await dev.api.ok('POST', `/webhooks/${id}/secret/rotate`, { secret });
    expect(rotated).toMatchObject({ secret, warnings: [{ field: 'secret', rule }] });
  });

  test('has no warning for a good secret, and refuses what is none', async () => {
    const made = await dev.api.call('POST', '/webhooks', { url, events: ['*'], secret: 'a81f3c95d2e07b46' });
    expect(made.status).toBe(201);
    expect(made.body).not.toHaveProperty('warnings');
    expectBadField(
      await dev.api.call('POST', '/webhooks', { url, events: ['*'], secret: 'a\nb' }),
      'secret',
      /printable/,
    );
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
