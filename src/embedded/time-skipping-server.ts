import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchOnce } from './fetch-once';
import { cacheDir } from './folders';
import { installationDir } from './installation-dir';
import { runTool } from './run-tool';
import { sdkDownload } from './sdk-download';

/** The version in `tools/time-skipping-server/pom.xml`. */
const JAVA_VERSION = '1.38.0';

const TOOL_LIMIT_MS = 10_000;
const MAVEN_LIMIT_MS = 10 * 60_000;

const WRAPPER = `#!/bin/sh
exec java -Xmx512m -cp "$(dirname "$0")/lib/*" io.temporal.testserver.TestServer "$@"
`;

/**
 * The path of Temporal's time-skipping test server, for
 * `createTimeSkipping({ server: { executable: { type: 'existing-path', path } } })`: the one cached earlier, the SDK's
 * download, else the Java one by way of Maven.
 */
export async function timeSkippingServerPath(
  onProgress: (line: string) => void = () => {},
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const folder = join(cacheDir(env), `time-skipping-server-${JAVA_VERSION}`);
  let why = '';
  const made = await fetchOnce(
    folder,
    async (draft) => {
      mkdirSync(draft, { recursive: true });
      onProgress('No time-skipping test server here yet: trying to download it');
      if (await sdkDownload({ environment: 'createTimeSkipping', version: 'default' }, join(draft, 'server'), env))
        return true;
      onProgress('Fetching the Java one with Maven');
      why = await fetchWithMaven(draft, env);
      return why === '';
    },
    onProgress,
  );
  if (made) return join(folder, 'server');
  throw new Error(
    'The time-skipping test server could not be fetched. Either let this machine reach the download server of the ' +
      `Temporal SDK, or install Java (11 or newer) and Maven, so that \`java\` and \`mvn\` are on PATH: ${why}`,
  );
}

/** Returns an empty string, or why it failed. */
async function fetchWithMaven(folder: string, env: NodeJS.ProcessEnv): Promise<string> {
  for (const [tool, flag] of [
    ['java', '-version'],
    ['mvn', '--version'],
  ] as const) {
    const { ok, output } = await runTool(tool, [flag], { env, limitMs: TOOL_LIMIT_MS });
    if (!ok) return `\`${tool}\` does not run (${output.split('\n')[0]})`;
  }
  const pom = join(installationDir(), 'tools', 'time-skipping-server', 'pom.xml');
  const copied = await runTool(
    'mvn',
    [
      '-B',
      '-q',
      '-f',
      pom,
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${join(folder, 'lib')}`,
    ],
    { env, limitMs: MAVEN_LIMIT_MS },
  );
  if (!copied.ok) return copied.output || 'mvn failed';
  writeFileSync(join(folder, 'server'), WRAPPER, { mode: 0o755 });
  return '';
}
