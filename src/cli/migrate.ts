import { readConfig, requireSetting } from '../config';
import { migrateToLatest } from '../db/migrate';
import { explainUnreachable } from './explain';

/** `posthorn migrate`: brings the database of DATABASE_URL to this version. */
export async function runMigrate(): Promise<void> {
  const config = readConfig(process.env);
  const ran = await migrateToLatest(requireSetting(config, 'DATABASE_URL')).catch(explainUnreachable(config));
  console.log(ran.length > 0 ? `migrated: ${ran.join(', ')}` : 'the database is up to date');
}
