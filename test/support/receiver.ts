import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** When the request was complete, in milliseconds since the epoch. */
  at: number;
}

/** `hang` never answers, `reset` breaks the connection off. */
export type ReceiverAnswer =
  | { status: number; headers?: Record<string, string>; body?: string | Buffer; delayMs?: number }
  | 'hang'
  | 'reset';

/** `n` counts the requests from 1. */
export type ReceiverHandler = (request: ReceivedRequest, n: number) => ReceiverAnswer | Promise<ReceiverAnswer>;

export interface Receiver {
  /** `http://127.0.0.1:<port>`, without a path. */
  url: string;
  requests: ReceivedRequest[];
  /** The requests so far, once there are `count`. Rejects after `timeoutMs` (a minute by default: machines may be slow). */
  waitFor(count: number, timeoutMs?: number): Promise<ReceivedRequest[]>;
  setHandler(handler: ReceiverHandler): void;
  /** Destroys open connections, hanging ones included. */
  close(): Promise<void>;
}

/** A real HTTP endpoint on loopback. Answers 204 unless a handler says otherwise. */
export async function startReceiver(initialHandler: ReceiverHandler = () => ({ status: 204 })): Promise<Receiver> {
  let handler = initialHandler;
  const requests: ReceivedRequest[] = [];
  const waiters = new Set<() => void>();

  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('error', () => {}); // the sender may break off; the request then never counts
    incoming.on('end', () => {
      const { method = '', url: path = '', headers } = incoming;
      const request = { method, path, headers, body: Buffer.concat(chunks), at: Date.now() };
      const n = requests.push(request);
      for (const wake of waiters) wake();
      Promise.resolve(request)
        .then((received) => handler(received, n))
        .then((answer) => reply(response, answer))
        .catch((error: Error) => reply(response, { status: 500, body: `the test's handler failed: ${error.stack}` }));
    });
  });
  // Longer than any test: a connection closed under a POST would be a failed attempt that no test asked for.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    waitFor(count, timeoutMs = 60_000) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiters.delete(wake);
          reject(new Error(`${requests.length} of ${count} requests came within ${timeoutMs} ms`));
        }, timeoutMs);
        const wake = () => {
          if (requests.length < count) return;
          clearTimeout(timer);
          waiters.delete(wake);
          resolve(requests);
        };
        waiters.add(wake);
        wake();
      });
    },
    setHandler(next) {
      handler = next;
    },
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function reply(response: ServerResponse, answer: ReceiverAnswer): void {
  if (answer === 'hang') return;
  if (answer === 'reset') {
    response.socket?.resetAndDestroy();
    return;
  }
  const { status, headers, body, delayMs } = answer;
  if (delayMs) setTimeout(() => reply(response, { status, headers, body }), delayMs);
  else response.writeHead(status, headers).end(body);
}
