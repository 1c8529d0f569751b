import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { openDatabase } from '../db/database';
import { generateApiKey, isEndedKey } from '../db/store/api-keys';

/** The keys of a development installation, kept beside its data. */
export type DevKeys = { apiKey: string; encryptionKeys: string };

/**
 * Reads the keys, and makes them if there are none. A file that cannot be read is kept under another name.
 * @param say called with a line if that has happened
 */
export function readDevKeys(file: string, say: (line: string) => void): DevKeys {
  const kept = readKept(file);
  if (kept === 'unusable') {
    renameSync(file, `${file}.unusable`);
    say(`Warning: ${file} could not be read. New keys are made: what the old ones sealed cannot be opened any more.`);
  } else if (kept) return kept;
  return keep(file, { apiKey: generateApiKey('dev'), encryptionKeys: `dev1:${randomBytes(32).toString('base64')}` });
}

/** The keys with an API key that is good: one that was revoked or has expired is replaced, in the file as well. */
export async function withGoodApiKey(
  file: string,
  keys: DevKeys,
  databaseUrl: string,
  say: (line: string) => void,
): Promise<DevKeys> {
  if (!(await isEnded(keys.apiKey, databaseUrl))) return keys;
  say('The development API key was revoked or has expired: this start makes another one.');
  return keep(file, { ...keys, apiKey: generateApiKey('dev') });
}

/** Whether an API key is stored in this database and no longer good. */
export async function isEnded(apiKey: string, databaseUrl: string): Promise<boolean> {
  const db = openDatabase({ url: databaseUrl, poolSize: 1, applicationName: 'posthorn-dev', planner: 'default' });
  try {
    return await isEndedKey(db.kysely, apiKey);
  } finally {
    await db.close();
  }
}

function readKept(file: string): DevKeys | 'unusable' | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { apiKey, encryptionKeys } = JSON.parse(text) as Partial<DevKeys>;
    return typeof apiKey === 'string' && typeof encryptionKeys === 'string' ? { apiKey, encryptionKeys } : 'unusable';
  } catch {
    return 'unusable';
  }
}

/** Written whole or not at all: a start that is cut off leaves the keys that were there. */
function keep(file: string, keys: DevKeys): DevKeys {
  const draft = `${file}.new`;
  writeFileSync(draft, JSON.stringify(keys), { mode: 0o600 });
  renameSync(draft, file);
  return keys;
}
