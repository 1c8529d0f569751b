import { readConfig } from '../config';
import { createLog } from '../log';
import { explainUnreachable } from './explain';
import { untilStopped } from './until-stopped';

/** What a stopping process gets beyond the grace of its attempts. */
const STOP_MARGIN_MS = 15_000;

/** `posthorn api`: serves until it is told to stop. */
export async function runApi(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.POSTHORN_LOG_LEVEL);
  // Loaded here: an api process has no use for the worker's native library.
  const { startApi } = await import('../api/start-api.js');
  const api = await startApi(config, log).catch(explainUnreachable(config));
  log.info({ event: 'api_ready', url: api.url });
  await untilStopped(api.stop, STOP_MARGIN_MS);
}

/** `posthorn worker`: delivers until it is told to stop, then finishes what is under way. */
export async function runWorker({ lanes }: { lanes?: string }): Promise<void> {
  const config = readConfig({ ...process.env, ...(lanes !== undefined && { POSTHORN_LANES: lanes }) });
  const log = createLog(config.POSTHORN_LOG_LEVEL);
  const { startWorker } = await import('../worker/start-worker.js');
  const worker = await startWorker(config, log).catch(explainUnreachable(config));
  log.info({ event: 'worker_ready' });
  await untilStopped(worker.stop, config.POSTHORN_SHUTDOWN_GRACE + STOP_MARGIN_MS, worker.ended);
}
