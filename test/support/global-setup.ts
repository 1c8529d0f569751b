import { rmSync } from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { migrateToLatest } from '../../src/db/migrate';
import { temporaryDataDir } from '../../src/embedded/folders';
import { startPostgres } from '../../src/embedded/postgres';
import { startWatchedTemporal } from '../../src/embedded/watched-temporal';
import { provideDebianPostgres } from './debian-postgres';

type Stoppable = { stop(): Promise<void> };
/** What global-teardown stops; jest runs both in the same process. */
export type TestServers = { posthornTestServers?: Stoppable[] };

/** One Postgres and one Temporal for the whole run; each test file clones `posthorn_template`. */
export default async function globalSetup(): Promise<void> {
  const onProgress = (line: string) => console.log(line);
  const servers: Stoppable[] = [];
  const folder = temporaryDataDir();
  (globalThis as TestServers).posthornTestServers = servers;
  try {
    const postgres = await startPostgres({ ephemeral: true, onProgress });
    servers.push(postgres);
    // One that has stopped working fails the tests that use it then, and no others.
    const temporal = await startWatchedTemporal(
      // In a file: one in memory has lost its tables on a busy machine, and forgets its workflows with a restart.
      { onProgress, dbFile: path.join(folder, 'temporal.db') },
      {
        onRestart: (why) => console.error(`The run's Temporal is restarted: ${why}`),
        onRestarted: () => console.error("The run's Temporal works again"),
        onNotRestarted: (why) => console.error(`The run's Temporal could not be restarted: ${why}`),
      },
    );
    servers.push({
      async stop() {
        await temporal.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    });
    await createTemplate(postgres.url);
    await provideDebianPostgres(onProgress);
    process.env.POSTHORN_TEST_DATABASE_URL = postgres.url;
    process.env.POSTHORN_TEST_TEMPORAL_ADDRESS = temporal.address;
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop())); // jest runs no teardown after a failed setup
    throw error;
  }
}

async function createTemplate(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('create database posthorn_template');
  await client.end();
  const template = new URL(url);
  template.pathname = '/posthorn_template';
  await migrateToLatest(template.href);
}
