import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of this installation: the one that holds `tools/`. */
export function installationDir(from: string = __dirname): string {
  if (existsSync(join(from, 'tools', 'temporal', 'go.mod'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error(`No folder above ${__dirname} holds tools/temporal/go.mod.`);
  return installationDir(parent);
}
