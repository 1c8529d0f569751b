import { writeFile } from 'node:fs/promises';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { BareMethods } from './bare-sender';
import { cpuMs } from './cpu';
import type { NoopMethods, NoopRound } from './noop-worker';
import { remote } from './remote';
import type { Rig } from './rig';

/** What the same server can do at most: a round of workflows that do nothing, with the CPU that it took. */
export type NoopLimit = NoopRound & { workerMs: number; temporalMs: number };

/** As MAX_STARTING in src/relay/workflow-path.ts, twice: the ceiling must not be short of work. */
export const NOOP_CONCURRENCY = 32;
const BARE_PATH = '/bare';
/** Before what is measured: code is compiled, pages are there. */
const BARE_WARM_UP = 3_000;

/** Bundles and starts the no-op worker; the function measures one round of it. */
export async function startNoops(rig: Rig): Promise<(workflows: number) => Promise<NoopLimit>> {
  const bundle = rig.file('noop-bundle.js');
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('./workflows/noop'),
    logger: new DefaultLogger('WARN'),
  });
  await writeFile(bundle, code);
  const started = rig.start('noop-worker', { TEMPORAL_ADDRESS: rig.temporalAddress, ...rig.environment });
  const noop = remote<NoopMethods>(started.child);
  await noop('start', bundle);
  return async (workflows) => {
    const workerMs = cpuMs(started.pid);
    const temporalMs = rig.cpu().temporal;
    const round = await noop('run', workflows, NOOP_CONCURRENCY);
    rig.say(`no-op: ${Math.round(round.perSecond)} workflows/s`);
    return { ...round, workerMs: cpuMs(started.pid) - workerMs, temporalMs: rig.cpu().temporal - temporalMs };
  };
}

/** Bare claim-POST-record per second, with the same Postgres and receiver, while nothing else runs. */
export async function measureBare(rig: Rig, events: number, bytes: number): Promise<number> {
  await rig.receiver('expectWebhook', BARE_PATH, null);
  const { child, stop } = rig.start('bare-sender');
  const bare = remote<BareMethods>(child);
  const url = rig.receiverUrl + BARE_PATH;
  await bare('run', rig.databaseUrl, url, BARE_WARM_UP, bytes);
  const { perSecond } = await bare('run', rig.databaseUrl, url, events, bytes);
  await stop();
  await rig.receiver('take');
  rig.say(`bare limit: ${Math.round(perSecond)} deliveries/s`);
  return perSecond;
}
