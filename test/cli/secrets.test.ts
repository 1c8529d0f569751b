import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { createSecretBox, parseEncryptionKeys } from '../../src/crypto/secret-box';
import { type Database, openDatabase } from '../../src/db/database';
import { reencrypt } from '../../src/db/store/reencrypt';
import { newUuid, parsePublicId } from '../../src/domain/ids';
import { sql } from '../api/support';
import { posthorn } from '../support/cli';
import { type Installation, startInstallation } from '../support/installation';

/** Changing the key that seals webhook secrets and own headers, while the roles run. */

let installation: Installation;
let db: Database;
/** The keyring of the running api, and the one after a new key was put first. */
let oldKeys: string;
let bothKeys: string;

beforeEach(async () => {
  installation = await startInstallation({}, { worker: false });
  oldKeys = installation.env.POSTHORN_ENCRYPTION_KEYS!;
  bothKeys = `t2:${randomBytes(32).toString('base64')},${oldKeys}`;
  db = openDatabase({ url: installation.databaseUrl, poolSize: 3, applicationName: 'test', planner: 'default' });
});
afterEach(async () => {
  await db?.close();
  await installation?.stop();
});

const webhook = (settings: object = {}) => {
  const url = 'http://127.0.0.1:9/hook';
  return installation.api.createWebhook({ url }, { url, ...settings });
};
const run = (keys: string) =>
  posthorn(['secrets', 'reencrypt'], { ...installation.env, POSTHORN_ENCRYPTION_KEYS: keys });
const boxOf = (keys: string) => createSecretBox(parseEncryptionKeys(keys));

/** Everything that is sealed, with whom it belongs to. */
const sealed = () =>
  sql<{ webhook_id: string; tenant_id: string; sealed: string }>(
    installation,
    `select s.webhook_id, w.tenant_id, s.sealed from webhook_secrets s join webhooks w on w.id = s.webhook_id
     union all select id, tenant_id, sealed_headers from webhooks where sealed_headers is not null`,
  );

test('seals everything again under the first key, so that the old one can be taken away', async () => {
  const first = await webhook({ headers: { 'X-Token': 'one' } });
  const second = await webhook();
  await installation.api.ok('POST', `/webhooks/${second.id}/secret/rotate`);
  const gone = await webhook();
  await installation.api.ok('DELETE', `/webhooks/${gone.id}`);
  const old = boxOf(oldKeys);
  const before = await sealed();
  const values = before.map((row) => old.open(row.sealed, { tenantId: row.tenant_id, webhookId: row.webhook_id }));
  expect(values).toHaveLength(5);

  const answer = await run(bothKeys);
  expect(answer).toMatchObject({ code: 0, stderr: '' });
  expect(answer.stdout.split('\n')).toEqual([
    'secrets: 4 of 4 sealed again',
    'headers: 1 of 1 sealed again',
    'under key t2: 5',
    '',
  ]);

  const newOnly = boxOf(bothKeys.split(',')[0]!);
  const after = await sealed();
  const opened = after.map((row) => newOnly.open(row.sealed, { tenantId: row.tenant_id, webhookId: row.webhook_id }));
  expect(opened.sort()).toEqual(values.sort());
  expect(opened).toContain(first.secret);
  // An editor of the webhook sees no change.
  expect(await installation.api.ok('GET', `/webhooks/${first.id}`)).toMatchObject({ version: 1 });

  // Again: nothing is left to do.
  expect((await run(bothKeys)).stdout).toContain('secrets: 0 of 0 sealed again');
  expect((await sealed()).map((row) => row.sealed).sort()).toEqual(after.map((row) => row.sealed).sort());
});

test('what does not open is counted and named, does not stop the rest, and makes the exit code 1', async () => {
  const good = await webhook({ headers: { 'X-Token': 'one' } });
  const bad = await webhook();
  const other = `tx.${randomBytes(60).toString('base64url')}`;
  await sql(installation, 'update webhook_secrets set sealed = $1 where webhook_id = $2', [
    other,
    parsePublicId('webhook', bad.id),
  ]);
  const answer = await run(bothKeys);
  expect(answer).toMatchObject({ code: 1, stderr: '' });
  expect(answer.stdout.split('\n')).toEqual([
    'secrets: 1 of 2 sealed again',
    `secrets: 1 cannot be opened, of ${bad.id}`,
    'headers: 1 of 1 sealed again',
    'under key t2: 2',
    'under key tx: 1',
    'Something is left under another key than t2: keep that key, and run this again.',
    '',
  ]);
  expect(answer.stdout).not.toContain(good.secret);
  expect((await sealed()).map((row) => row.sealed)).toContain(other);
});

test('goes through more than a batch, and twice at once does no harm', async () => {
  const { id } = await webhook();
  const webhookId = parsePublicId('webhook', id)!;
  const [{ tenant_id: tenantId } = { tenant_id: '' }] = await sealed();
  const old = boxOf(oldKeys);
  const given = Array.from({ length: 450 }, (_, n) => `secret ${n}`);
  await db.kysely
    .insertInto('webhook_secrets')
    .values(
      given.map((value) => ({
        id: newUuid(),
        webhook_id: webhookId,
        sealed: old.seal(value, { tenantId, webhookId }),
        expires_at: new Date(),
      })),
    )
    .execute();
  const box = boxOf(bothKeys);
  const steps: number[] = [];
  const [one, two] = await Promise.all([
    reencrypt(db, box, 'secrets', (n) => steps.push(n)),
    reencrypt(db, box, 'secrets', (n) => steps.push(n)),
  ]);
  expect(one.resealed + two.resealed).toBe(451);
  expect([...one.unopened, ...two.unopened]).toEqual([]);
  expect(Math.max(...steps)).toBeLessThan(452);
  expect(steps.length).toBeGreaterThan(2);
  const opened = (await sealed()).map((row) => {
    expect(row.sealed).toMatch(/^t2\./);
    return box.open(row.sealed, { tenantId, webhookId });
  });
  expect(new Set(opened)).toEqual(new Set([...given, opened.find((value) => value.startsWith('whsec_'))]));
});

test('a row that someone holds is passed over, not waited for, and taken by the next run', async () => {
  const held = await webhook();
  await webhook();
  const holder = new Client({ connectionString: installation.databaseUrl });
  await holder.connect();
  try {
    await holder.query('begin');
    await holder.query('select from webhook_secrets where webhook_id = $1 for update', [
      parsePublicId('webhook', held.id),
    ]);
    const during = await run(bothKeys);
    expect(during).toMatchObject({ code: 1 });
    expect(during.stdout).toContain('secrets: 1 of 2 sealed again');
    expect(during.stdout).toContain('under key t1: 1\nunder key t2: 1\n');
    await holder.query('commit');
  } finally {
    await holder.end();
  }
  expect(await run(bothKeys)).toMatchObject({ code: 0, stdout: expect.stringContaining('under key t2: 2\n') });
});

test('without a keyring it says so', async () => {
  expect(await run('')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'posthorn: POSTHORN_ENCRYPTION_KEYS must be set for this command.\n',
  });
});
