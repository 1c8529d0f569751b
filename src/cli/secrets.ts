import { readConfig, requireSetting } from '../config';
import { createSecretBox } from '../crypto/secret-box';
import { openDatabase } from '../db/database';
import { assertMigrated } from '../db/migrate';
import { countByKey, countOthers, reencrypt, SEALED } from '../db/store/reencrypt';
import { toPublicId } from '../domain/ids';
import { explainUnreachable } from './explain';

/**
 * `posthorn secrets reencrypt`: seals everything under the first key of POSTHORN_ENCRYPTION_KEYS. Says how far it is,
 * and at the end how much each key still seals. The exit code is 1 if anything is left under another key.
 */
export async function runReencrypt(): Promise<void> {
  const config = readConfig(process.env);
  const box = createSecretBox(requireSetting(config, 'POSTHORN_ENCRYPTION_KEYS'));
  const db = openDatabase({
    url: requireSetting(config, 'DATABASE_URL'),
    poolSize: 2,
    applicationName: 'posthorn-secrets',
    planner: 'default',
    // A statement that meets it fails with an error of its own.
    onError: () => undefined,
  });
  try {
    await assertMigrated(db.pool).catch(explainUnreachable(config));
    for (const kind of SEALED) {
      const count = await countOthers(db, kind, box.keyId);
      const done = await reencrypt(db, box, kind, (n) => console.log(`${kind}: ${n} of ${count} sealed again`));
      if (done.unopened.length === 0) continue;
      const names = [...new Set(done.unopened)].map((id) => toPublicId('webhook', id));
      console.log(`${kind}: ${done.unopened.length} cannot be opened, of ${names.join(', ')}`);
    }
    const byKey = await countByKey(db);
    for (const { keyId, count } of byKey) console.log(`under key ${keyId}: ${count}`);
    if (byKey.some(({ keyId }) => keyId !== box.keyId)) {
      console.log(`Something is left under another key than ${box.keyId}: keep that key, and run this again.`);
      process.exitCode = 1;
    }
  } finally {
    await db.close();
  }
}
