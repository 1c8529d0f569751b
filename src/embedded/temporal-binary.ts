import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fetchOnce, withProgress } from './fetch-once';
import { cacheDir } from './folders';
import { installationDir } from './installation-dir';
import { runTool } from './run-tool';
import { sdkDownload } from './sdk-download';

/** The Temporal CLI that is downloaded or built; `tools/temporal/go.mod` names the same one. */
export const TEMPORAL_CLI_VERSION = 'v1.5.1';
const PACKAGE = 'github.com/temporalio/cli/cmd/temporal';
const toolDir = () => join(installationDir(), 'tools', 'temporal');

/** `temporal --version` answers in a fraction of a second. */
const VERSION_LIMIT_MS = 10_000;
/** Four minutes on two cores; much more on a small machine that also fetches the modules. */
const BUILD_LIMIT_MS = 30 * 60_000;

type Progress = (line: string) => void;

/**
 * The path of a Temporal CLI that runs: TEMPORAL_CLI_PATH, `temporal` on PATH, the one cached earlier, the SDK's
 * download, a build with Go. The first that works. (A set TEMPORAL_ADDRESS, which needs none, is the caller's.)
 */
export async function temporalBinary(
  onProgress: Progress = () => {},
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const installed = await installedBinary(onProgress, env);
  if (installed) return installed;

  const cached = join(cacheDir(env), cachedName(), 'temporal');
  if (existsSync(cached)) {
    if (await runs(cached, env)) return cached;
    throw new Error(`${cached} does not run: delete it, and it will be fetched again.`);
  }
  let why = '';
  const made = await fetchOnce(
    cached,
    async (draft) => {
      onProgress('No Temporal CLI here yet: trying to download it');
      if (
        (await sdkDownload({ environment: 'createLocal', version: TEMPORAL_CLI_VERSION }, draft, env)) &&
        (await runs(draft, env))
      ) {
        return true;
      }
      why = await buildWithGo(draft, onProgress, env);
      return why === '';
    },
    onProgress,
  );
  if (made) return cached;
  throw new Error(
    [
      'Temporal was not found and could not be fetched. One of these makes it work:',
      '  1. set TEMPORAL_ADDRESS to a running Temporal (host:port)',
      '  2. put the `temporal` command on PATH, or set TEMPORAL_CLI_PATH to it',
      `  3. put it at ${cached}`,
      '  4. let this machine reach the download server of the Temporal SDK, and start again',
      `  5. install Go 1.25 or newer, and start again (it builds ${PACKAGE})`,
      `The last attempt, with Go, said: ${why}`,
    ].join('\n'),
  );
}

/** The folder's name changes with go.mod, so that what was built from older modules is not found again. */
export function cachedName(): string {
  const modules = createHash('sha256')
    .update(readFileSync(join(toolDir(), 'go.mod')))
    .digest('hex');
  return `temporal-cli-${TEMPORAL_CLI_VERSION}-${modules.slice(0, 8)}`;
}

/** What the user installed: TEMPORAL_CLI_PATH, else `temporal` on PATH. */
async function installedBinary(onProgress: Progress, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const named = env.TEMPORAL_CLI_PATH;
  if (named) {
    if (await runs(named, env)) return named;
    onProgress(`TEMPORAL_CLI_PATH is ${named}, which does not run: looking elsewhere`);
  }
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const candidate = join(folder, 'temporal');
    if (existsSync(candidate) && (await runs(candidate, env))) return candidate;
  }
  return undefined;
}

async function runs(binary: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  return (await runTool(binary, ['--version'], { env, limitMs: VERSION_LIMIT_MS })).ok;
}

/** Returns an empty string, or why it failed. */
async function buildWithGo(target: string, onProgress: Progress, env: NodeJS.ProcessEnv): Promise<string> {
  const cwd = toolDir();
  if (!(await runTool('go', ['version'], { cwd, env, limitMs: VERSION_LIMIT_MS })).ok)
    return 'there is no `go` on PATH';
  onProgress(
    `Building Temporal ${TEMPORAL_CLI_VERSION} with Go, once; the result is kept. ` +
      'A whole server is compiled from source: expect a few minutes.',
  );
  const build = runTool('go', ['build', '-buildvcs=false', '-ldflags', '-s -w', '-o', target, PACKAGE], {
    cwd,
    env: { ...env, GOWORK: 'off' },
    limitMs: BUILD_LIMIT_MS,
  });
  const { ok, output } = await withProgress('Building Temporal', onProgress, build);
  if (!ok) return output || 'go build failed';
  return (await runs(target, env)) ? '' : 'the binary it built does not run';
}
