import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Config } from '../config';
import type { Log } from '../log';
import { serveMetrics } from './serve';

export type RunningMetrics = {
  /** The registry for the metrics of this process. */
  registry: Registry;
  /** With the path. */
  url: string;
  stop(): Promise<void>;
};

/**
 * The metrics of a process, on a port of their own; undefined if none is set, and then nothing is counted. One
 * registry per process, which is handed to whoever counts: prom-client's global one is not used.
 * @throws ConfigError if the port is taken
 */
export async function startMetrics(config: Config, log: Log): Promise<RunningMetrics | undefined> {
  const { POSTHORN_ADMIN_HOST: host, POSTHORN_ADMIN_PORT: port } = config;
  if (port === undefined) return undefined;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const server = await serveMetrics(registry, log, { host, port, setting: 'POSTHORN_ADMIN_PORT' });
  const url = `${server.url}/metrics`;
  log.info({ event: 'metrics_ready', url });
  return { registry, url, stop: server.close };
}
