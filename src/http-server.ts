import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { ConfigError } from './config';

/** How long a client may take for a request's headers, and for all of it, milliseconds. */
export type ClientLimits = { headersMs: number; requestMs: number };

export type ListenOptions = {
  host: string;
  /** 0 for a free one. */
  port: number;
  /** What is to be set where the port is taken. */
  setting: string;
  limits?: ClientLimits;
  /** Of requests and answers; without them, Node's own. */
  classes?: Pick<ServerOptions, 'IncomingMessage' | 'ServerResponse'>;
};

export type HttpServer = {
  /** Without a path. */
  url: string;
  /** Takes no new connection, and gives requests under way some time. */
  close(): Promise<void>;
};

/** Slow clients are cut off: headers, whole request, idle keep-alive. */
const CLIENT_LIMITS: ClientLimits = { headersMs: 10_000, requestMs: 30_000 };
const IDLE_LIMIT_MS = 65_000;
/** How often Node looks for slow clients; its own default, 30 s, would let each stay for so much longer. */
const CLIENT_CHECK_MS = 1_000;
/** Requests under way when the process is stopped get this long. */
const CLOSE_LIMIT_MS = 10_000;

/**
 * Serves HTTP with limits on slow clients.
 * @throws ConfigError where the port is taken
 */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const { host, port, setting } = options;
  const { headersMs, requestMs } = options.limits ?? CLIENT_LIMITS;
  const connectionsCheckingInterval = Math.min(CLIENT_CHECK_MS, headersMs);
  const server = createServer(
    { ...options.classes, headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval },
    handler,
  );
  server.keepAliveTimeout = IDLE_LIMIT_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        taken ? new ConfigError(`Port ${port} on ${host} is in use. Stop what uses it, or set ${setting}.`) : error,
      );
    });
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${isIPv6(host) ? `[${host}]` : host}:${bound}`,
    close: () => closeServer(server),
  };
}

async function closeServer(server: Server): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_LIMIT_MS);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(cut);
}
