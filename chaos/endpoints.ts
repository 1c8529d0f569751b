import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { HOOKS, type HookKind } from './hooks';

/** A request as an endpoint saw it. Times in milliseconds since the epoch. */
export type Arrival = {
  n: number;
  hook: string;
  /** Of the webhook's URL. */
  urlVersion: number;
  eventId: string;
  deliveryId: string;
  attempt: number;
  /** The loopback address of the process that sent it. */
  source: string;
  /** When its headers were here. */
  at: number;
  /** When its body was, too. */
  completeAt?: number;
  /** Handed to the network before the sender had gone. */
  answered?: { status: number; at: number };
  /** When the connection was closed without an answer, by whomever. */
  closedAt?: number;
  /** What the endpoint was to do. */
  aimed: number | 'reset' | 'hang';
  /** Secrets of the hook that the signature verifies with, by their place in the list. */
  verifiesWith: number[];
  mark: string | undefined;
};

export type Endpoints = {
  /** Where a webhook of this name points to; another version is another URL. */
  url(hook: string, kind: HookKind, urlVersion: number): string;
  /** Secrets that its signatures may be made with; whether each was in force is judged at the end. */
  secretsOf(hook: string): string[];
  readonly arrivals: readonly Arrival[];
  close(): Promise<void>;
};

const SERVERS = 3;
/** Longer than any storm: a connection that is closed under a POST would be a failed attempt that nobody drew. */
const KEEP_ALIVE_MS = 600_000;

/** Real HTTP endpoints on loopback, which write down every request. */
export async function startEndpoints(): Promise<Endpoints> {
  const arrivals: Arrival[] = [];
  const secrets = new Map<string, string[]>();
  const counts = new Map<string, number>();
  const sockets = new Set<Socket>();
  const secretsOf = (hook: string) => {
    const known = secrets.get(hook);
    if (known) return known;
    const made: string[] = [];
    secrets.set(hook, made);
    return made;
  };

  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const [, hook = '', kind = '', version = ''] = request.url!.split('/');
    const header = (name: string) => String(request.headers[name] ?? '');
    const deliveryId = header('x-webhook-delivery');
    const key = `${hook} ${deliveryId}`;
    const nth = (counts.get(key) ?? 0) + 1;
    counts.set(key, nth);
    const reaction = HOOKS[kind as HookKind].react(nth, chanceOf(deliveryId));
    const arrival: Arrival = {
      n: arrivals.length,
      ...{ hook, urlVersion: Number(version), eventId: header('webhook-id'), deliveryId },
      ...{ attempt: Number(header('x-webhook-attempt')), source: request.socket.remoteAddress ?? '', at: Date.now() },
      ...{ aimed: typeof reaction.answer === 'string' ? reaction.answer : reaction.answer.status },
      ...{ verifiesWith: [], mark: undefined },
    };
    arrivals.push(arrival);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined); // broken off: it stays without `completeAt`
    response.on('close', () => {
      if (!arrival.answered) arrival.closedAt = Date.now();
    });
    response.on('finish', () => {
      arrival.answered = { status: response.statusCode, at: Date.now() };
    });
    request.on('end', () => {
      arrival.completeAt = Date.now();
      const body = Buffer.concat(chunks).toString('utf8');
      arrival.mark = /"mark":"(m[\d.]+)"/.exec(body)?.[1];
      arrival.verifiesWith = secretsOf(hook).flatMap((secret, i) => (verifies(secret, body, request) ? [i] : []));
      const react = () => {
        if (response.destroyed) return;
        if (reaction.answer === 'reset') request.socket.resetAndDestroy();
        else if (reaction.answer !== 'hang') {
          const { status, retryAfter } = reaction.answer;
          response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }).end();
        }
      };
      if (reaction.afterMs === 0) react();
      else setTimeout(react, reaction.afterMs);
    });
  };

  const servers = await Promise.all(
    Array.from({ length: SERVERS }, async () => {
      const server = createServer(serve);
      server.keepAliveTimeout = KEEP_ALIVE_MS;
      server.on('connection', (socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  return {
    url(hook, kind, urlVersion) {
      const server = servers[Math.floor(chanceOf(kind) * SERVERS)]!;
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}/${hook}/${kind}/${urlVersion}`;
    },
    secretsOf,
    arrivals,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(
        servers.map(async (server) => {
          server.close();
          await once(server, 'close');
        }),
      );
    },
  };
}

/** Standard Webhooks' own library, as a receiver would; times are not its affair here, since processes are stopped. */
function verifies(secret: string, body: string, { headers }: IncomingMessage): boolean {
  const seconds = Number(headers['webhook-timestamp']);
  const expected = new Webhook(secret).sign(String(headers['webhook-id']), new Date(seconds * 1_000), body);
  return String(headers['webhook-signature']).split(' ').includes(expected);
}

/** A number from 0 to 1 that a text always has. */
function chanceOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;
}
