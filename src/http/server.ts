import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { ConfigError } from '../config';
import { boundConnections, CONNECTION_LIMITS, type ConnectionCounts, type ConnectionLimits } from './connections';

/** How long a client may take for a request's headers, and for all of it, milliseconds; and what it may hold. */
export type ClientLimits = ConnectionLimits & { headersMs: number; requestMs: number };

export type ListenOptions = {
  host: string;
  /** 0 for a free one. */
  port: number;
  /** The setting to change if the port is taken. */
  setting: string;
  /** Others than the usual ones. */
  limits?: Partial<ClientLimits> | undefined;
  /** Addresses that stand for many clients: proxies. They are not bounded by themselves. */
  standsForMany?: (address: string) => boolean;
  /** Of requests and answers; without them, Node's own. */
  classes?: Pick<ServerOptions, 'IncomingMessage' | 'ServerResponse'>;
};

export type HttpServer = {
  /** Without a path. */
  url: string;
  /** What clients hold of it. */
  counts(): ConnectionCounts;
  /** Takes no new connection, and gives requests under way some time. */
  close(): Promise<void>;
};

/** Slow clients are cut off: headers, whole request, whole answer, idle keep-alive. */
const CLIENT_LIMITS: ClientLimits = { ...CONNECTION_LIMITS, headersMs: 10_000, requestMs: 30_000 };
const IDLE_LIMIT_MS = 65_000;
/** Then the answer closes the connection: its memory is freed now and then, and load is balanced anew. */
const MAX_REQUESTS_PER_CONNECTION = 10_000;
/** How often Node looks for slow clients; its own default, 30 s, would let each stay for so much longer. */
const CLIENT_CHECK_MS = 1_000;
/** Requests under way when the process is stopped get this long. */
const CLOSE_LIMIT_MS = 10_000;

/**
 * Serves HTTP with limits on slow clients, and on what all of them hold.
 * @throws ConfigError if the port is taken
 */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const { host, port, setting } = options;
  const limits = { ...CLIENT_LIMITS, ...options.limits };
  const { headersMs, requestMs } = limits;
  const connectionsCheckingInterval = Math.min(CLIENT_CHECK_MS, headersMs);
  const bounds = boundConnections(handler, limits, options.standsForMany ?? (() => false));
  const server = createServer(
    { ...options.classes, headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval },
    bounds.serve,
  );
  server.on('connection', bounds.open);
  server.keepAliveTimeout = IDLE_LIMIT_MS;
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  // Node would leave out what is beyond, an Idempotency-Key perhaps; the bytes of all headers are bounded (16 KiB).
  server.maxHeadersCount = 0;
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
    counts: bounds.counts,
    async close() {
      await closeServer(server);
      bounds.stop();
    },
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
