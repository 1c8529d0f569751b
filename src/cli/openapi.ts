import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buildDocument } from '../api/openapi/document';
import { routes } from '../api/routes';
import { installationDir } from '../embedded/installation-dir';

/** `posthorn openapi [--check]`: docs/openapi.json is what the route table and its schemas say. */
export async function runOpenApi({ check }: { check?: boolean }): Promise<void> {
  const file = path.join(installationDir(), 'docs', 'openapi.json');
  const document = `${JSON.stringify(buildDocument(routes), null, 2)}\n`;
  if (!check) return writeFile(file, document);
  if (document !== (await readFile(file, 'utf8').catch(() => ''))) {
    throw new Error('docs/openapi.json is not what the route table says: run `npm run openapi` and commit it.');
  }
}
