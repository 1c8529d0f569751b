import type { RequestListener } from 'node:http';
import type { Registry } from 'prom-client';
import { type HttpServer, type ListenOptions, listen } from '../http/server';
import type { Log } from '../log';

/**
 * Serves what a registry holds as `GET /metrics`, and nothing else: no path of the API is here.
 * @throws ConfigError if the port is taken
 */
export function serveMetrics(registry: Registry, log: Log, options: ListenOptions): Promise<HttpServer> {
  return listen(metricsHandler(registry, log), options);
}

function metricsHandler(registry: Registry, log: Log): RequestListener {
  return (request, response) => {
    // Prometheus may be told to add parameters.
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' || path !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Only GET /metrics is here.\n');
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: Error) => {
        log.warn({ event: 'metrics_failed', err: error.message });
        response.writeHead(500).end();
      },
    );
  };
}
