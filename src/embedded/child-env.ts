import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installationDir } from './installation-dir';

/**
 * What programs that we start get of our environment: names on a list, and never all of it. It holds keys of ours
 * (POSTHORN_ENCRYPTION_KEYS, DATABASE_URL, TEMPORAL_API_KEY) and of others, which end up in crash reports and in
 * /proc/<pid>/environ, and which an npm, Go or Maven package that runs at build time could read.
 */
type Allowed = {
  servers: string[];
  tools: string[];
};

let allowed: Allowed | undefined;

/** In a file that the scripts, which run before the build, read as well. */
function read(): Allowed {
  allowed ??= JSON.parse(readFileSync(join(installationDir(), 'tools', 'child-env.json'), 'utf8')) as Allowed;
  return allowed;
}

/** For the embedded servers, and for small programs of the system. */
export function serverEnv(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return pick(env, read().servers);
}

/** For what fetches and builds: also proxies, certificates, and the tools' own folders and registries. */
export function toolEnv(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return pick(env, [...read().servers, ...read().tools]);
}

function pick(env: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
