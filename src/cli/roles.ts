import { readConfig } from '../config';
import { createLog } from '../log';
import { startMetrics } from '../metrics/start-metrics';
import { explainUnreachable } from './explain';
import { sayWarnings, startWarnings } from './start-warnings';
import { untilStopped } from './until-stopped';

/** What a stopping process gets beyond the grace of its attempts. */
const STOP_MARGIN_MS = 15_000;

/** `posthorn api`: serves until it is stopped. */
export async function runApi(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.POSTHORN_LOG_LEVEL);
  // Loaded here: an api process has no use for the worker's native library.
  const { startApi } = await import('../api/start-api.js');
  const metrics = await startMetrics(config, log);
  const api = await startApi(config, log).catch(explainUnreachable(config));
  // A start that fails has one thing to say.
  sayWarnings(startWarnings(config, process.env), log, toStandardError);
  log.info({ event: 'api_ready', url: api.url });
  await untilStopped(stopInOrder(api, metrics), STOP_MARGIN_MS);
}

/** `posthorn worker`: delivers until it is stopped, then finishes what is under way. */
export async function runWorker({ priorities }: { priorities?: string }): Promise<void> {
  const config = readConfig({ ...process.env, ...(priorities !== undefined && { POSTHORN_PRIORITIES: priorities }) });
  const log = createLog(config.POSTHORN_LOG_LEVEL);
  const { startWorker } = await import('../worker/start-worker.js');
  const metrics = await startMetrics(config, log);
  const worker = await startWorker(config, log, { registry: metrics?.registry }).catch(explainUnreachable(config));
  // A start that fails has one thing to say.
  sayWarnings(startWarnings(config, process.env), log, toStandardError);
  log.info({ event: 'worker_ready' });
  const limitMs = config.POSTHORN_SHUTDOWN_GRACE + STOP_MARGIN_MS;
  await untilStopped(stopInOrder(worker, metrics), limitMs, worker.ended);
}

/** Standard output is the log's. */
const toStandardError = (line: string) => console.error(`posthorn: ${line}`);

type Stoppable = { stop(): Promise<void> };

/** The metrics go last: a stopping process can be watched. */
function stopInOrder(role: Stoppable, metrics: Stoppable | undefined): () => Promise<void> {
  return async () => {
    await role.stop();
    await metrics?.stop();
  };
}
