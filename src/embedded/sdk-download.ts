import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from './run-tool';

export type SdkServer = { environment: 'createLocal' | 'createTimeSkipping'; version: string };

/** Nothing has begun to arrive after this long: there is no way to the download server. */
const BEGIN_LIMIT_MS = 8_000;
/** A hundred megabytes on a slow connection. */
const DOWNLOAD_LIMIT_MS = 5 * 60_000;

const SCRIPT = `
const [sdk, environment, version, downloadDir] = process.argv.slice(1);
const server = { executable: { type: 'cached-download', version, downloadDir } };
require(sdk).TestWorkflowEnvironment[environment]({ server }).then((it) => it.teardown()).then(() => process.exit(0));
`;

/**
 * Has the Temporal SDK download a server to `target`. The SDK sets no limit of its own, so it works in a process that
 * can be stopped. False when it did not succeed.
 */
export async function sdkDownload(server: SdkServer, target: string, env = process.env): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-download-'));
  const watch = new AbortController();
  try {
    const sdk = require.resolve('@temporalio/testing');
    const download = runTool(process.execPath, ['-e', SCRIPT, sdk, server.environment, server.version, folder], {
      env,
      limitMs: DOWNLOAD_LIMIT_MS,
      signal: watch.signal,
    });
    const begun = sleep(BEGIN_LIMIT_MS, undefined, { signal: watch.signal }).then(
      () => readdirSync(folder).length > 0 || watch.abort(),
      () => {},
    );
    const { ok } = await download;
    watch.abort();
    await begun;
    const [file] = readdirSync(folder);
    if (!ok || !file) return false;
    copyFileSync(join(folder, file), target);
    chmodSync(target, 0o755);
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
