import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { migrations } from '../../migrations';
import { openDatabase } from '../../src/db/database';
import { assertMigrated, migrateToLatest, NewerDatabaseError } from '../../src/db/migrate';
import { dumpSchema } from '../../src/db/schema-dump';
import { createTestDatabase, queryOnce } from '../support/database';

const ROOT = path.join(__dirname, '..', '..');
const POSTHORN = path.join(ROOT, 'dist', 'src', 'cli', 'main.js');
const ALL = Object.keys(migrations);
const run = promisify(execFile);

const open = (url: string) =>
  openDatabase({ url, poolSize: 1, applicationName: 'test', planner: 'default', statementTimeoutMs: 60_000 });
const server = open(process.env.POSTHORN_TEST_DATABASE_URL!);
const made: string[] = [];

/** A database that nobody has migrated. */
async function freshDatabase(): Promise<string> {
  const name = `fresh_${randomBytes(6).toString('hex')}`;
  await server.pool.query(`create database ${name}`);
  made.push(name);
  const url = new URL(process.env.POSTHORN_TEST_DATABASE_URL!);
  url.pathname = `/${name}`;
  return url.href;
}

/** `posthorn migrate` in a process of its own, as several of them start beside each other in a deployment. */
const migrateByCommand = (url: string) => run(process.execPath, [POSTHORN, 'migrate'], { env: { DATABASE_URL: url } });

afterAll(async () => {
  for (const name of made) await server.pool.query(`drop database ${name} with (force)`);
  await server.close();
});

test('runs every migration once, and nothing the second time', async () => {
  const url = await freshDatabase();
  expect(await migrateToLatest(url)).toEqual(ALL);
  expect(await migrateToLatest(url)).toEqual([]);
  const [weeks] = await queryOnce(
    url,
    `select count(*)::int as n from pg_inherits where inhparent = 'events'::regclass`,
  );
  expect(weeks.n).toBe(7); // last week, this week and five ahead
});

test('run by several processes at once: each migration is run by exactly one of them', async () => {
  const url = await freshDatabase();
  const outputs = await Promise.all(Array.from({ length: 3 }, () => migrateByCommand(url)));
  const ran = outputs.flatMap(({ stdout }) => stdout.match(/\d{4}_\w+/g) ?? []);
  expect(ran.sort()).toEqual(ALL);
  const db = open(url);
  await expect(assertMigrated(db.pool)).resolves.toBeUndefined();
  await db.close();
});

test('run many times at once within a process as well', async () => {
  const url = await freshDatabase();
  const ran = await Promise.all(Array.from({ length: 6 }, () => migrateToLatest(url)));
  expect(ran.flat()).toEqual(ALL);
});

test('a newer database is refused with an error that says what to do, and left as it is', async () => {
  const database = await createTestDatabase();
  const db = open(database.url);
  try {
    await db.pool.query(`insert into kysely_migration (name, timestamp) values ('9999_from_the_future', 'now')`);
    const before = await dumpSchema(db.pool);
    const refused = migrateToLatest(database.url);
    await expect(refused).rejects.toThrow(NewerDatabaseError);
    await expect(refused).rejects.toThrow(/newer version of Posthorn \(it has 9999_from_the_future\)\. Start that/);
    await expect(assertMigrated(db.pool)).rejects.toThrow(NewerDatabaseError);
    expect(await dumpSchema(db.pool)).toBe(before);

    const command = migrateByCommand(database.url);
    await expect(command).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/newer version of Posthorn/),
    });
    // For a person: the message, not a stack.
    await command.catch(({ stderr }) => expect(stderr).not.toMatch(/\n\s+at /));
  } finally {
    await db.close();
    await database.drop();
  }
});

test('a process that does not migrate says which migrations are missing', async () => {
  const url = await freshDatabase();
  const db = open(url);
  await expect(assertMigrated(db.pool)).rejects.toThrow(/lacks the migrations 0001_create_tenants.*posthorn migrate/);
  await db.close();
});

test('migrations/schema.sql is what the migrations make', async () => {
  const database = await createTestDatabase();
  const db = open(database.url);
  try {
    const dump = await dumpSchema(db.pool);
    expect(await dumpSchema(db.pool)).toBe(dump);
    expect(await readFile(path.join(ROOT, 'migrations', 'schema.sql'), 'utf8')).toBe(dump);
  } finally {
    await db.close();
    await database.drop();
  }
});
