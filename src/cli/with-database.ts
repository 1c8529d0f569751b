import { readConfig, requireSetting } from '../config';
import { openDatabase, type Queryable } from '../db/database';
import { assertMigrated } from '../db/migrate';
import { explainUnreachable } from './explain';

/** The command line as an actor in the audit log: whoever has the database's URL. */
export const CLI_ACTOR = 'cli';

/** Does something with the database of DATABASE_URL, which must be migrated. */
export async function withDatabase<T>(work: (db: Queryable) => Promise<T>): Promise<T> {
  const config = readConfig(process.env);
  const url = requireSetting(config, 'DATABASE_URL');
  const db = openDatabase({ url, poolSize: 1, applicationName: 'posthorn-cli', planner: 'default' });
  try {
    await assertMigrated(db.pool);
    return await work(db.kysely);
  } catch (error) {
    return explainUnreachable(config)(error);
  } finally {
    await db.close();
  }
}

const PAGE = 200;

/** Every row of a list that comes in pages, newest first. */
export async function* eachRow<Row extends { id: string }>(
  nextPage: (limit: number, beforeId?: string) => Promise<Row[]>,
): AsyncGenerator<Row> {
  for (let beforeId: string | undefined; ; ) {
    const rows = await nextPage(PAGE, beforeId);
    yield* rows;
    if (rows.length < PAGE) return;
    beforeId = rows.at(-1)!.id;
  }
}
