import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { serve } from './remote';

/** A neighbour's machine: it makes requests of the api, and counts what becomes of them. */

export type Asked = { method: 'GET' | 'POST'; path: string; body?: unknown };
export type Requests = {
  url: string;
  key: string;
  /** Made in turn, for ever. */
  requests: Asked[];
  /** At once, each after the last one was answered. */
  connections: number;
  /** At most so many a second, of all connections together. */
  perSecond: number;
};
export type Flood = {
  url: string;
  path: string;
  /** Where connections come from, in turn. */
  addresses: string[];
  /** At once. */
  sockets: number;
  /** Written to each, one behind the other; answers are not read. */
  pipelined: number;
  /** How long each is kept: one that was cut may not hear of it, since it does not read. */
  lifeMs: number;
};
/** Requests by what became of them: a status, `failed` or `sent` where answers are not read. */
export type Made = Record<string, number>;

const RETRY_MS = 20;
/** A large answer takes its time on a busy machine. */
const LIMIT_MS = 60_000;

let made: Made = {};
let running: { stopped: boolean; stop: () => Promise<void> }[] = [];
const count = (what: string, times = 1) => {
  made[what] = (made[what] ?? 0) + times;
};

/** A function that resolves when the next turn of so many a second has come. */
function pace(perSecond: number): () => Promise<void> {
  let nextMs = performance.now();
  return async () => {
    const nowMs = performance.now();
    nextMs = Math.max(nextMs, nowMs - 1_000 / perSecond);
    const waitMs = nextMs - nowMs;
    nextMs += 1_000 / perSecond;
    if (waitMs > 0) await sleep(waitMs);
  };
}

const methods = {
  /** Begins to make requests, beside those that are made already. */
  request: ({ url, key, requests, connections, perSecond }: Requests): void => {
    const pool = new Pool(url, { connections, pipelining: 1, headersTimeout: LIMIT_MS, bodyTimeout: LIMIT_MS });
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const prepared = requests.map(({ method, path, body }) => ({
      ...{ method, path: `/api/v1${path}`, headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }));
    const turn = pace(perSecond);
    const self = { stopped: false, stop: () => pool.destroy() };
    running.push(self);
    let next = 0;
    const client = async () => {
      while (!self.stopped) {
        await turn();
        if (self.stopped) return;
        try {
          const answer = await pool.request(prepared[next++ % prepared.length]!);
          await answer.body.dump({ limit: Number.MAX_SAFE_INTEGER });
          count(String(answer.statusCode));
        } catch {
          if (self.stopped) return;
          count('failed');
          await sleep(RETRY_MS);
        }
      }
    };
    for (let n = 0; n < connections; n++) void client();
  },

  /** Begins to write pipelined requests without a key to sockets whose answers are never read. */
  flood: ({ url, path, addresses, sockets, pipelined, lifeMs }: Flood): void => {
    const { hostname, port, host } = new URL(url);
    const requests = `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`.repeat(pipelined);
    const open = new Set<Socket>();
    const self = {
      stopped: false,
      stop: async () => {
        for (const socket of open) socket.destroy();
      },
    };
    running.push(self);
    let next = 0;
    const client = async (n: number) => {
      // Else all of them would come and go together.
      await sleep((n * lifeMs) / sockets);
      while (!self.stopped) {
        const localAddress = addresses[next++ % addresses.length]!;
        const socket = connect({ host: hostname, port: Number(port), localAddress });
        open.add(socket.pause());
        socket.once('error', () => undefined);
        socket.once('connect', () => {
          count('connections');
          count('sent', pipelined);
          socket.write(requests);
        });
        const end = setTimeout(() => socket.destroy(), lifeMs);
        await new Promise((closed) => socket.once('close', closed));
        clearTimeout(end);
        open.delete(socket);
        // One that was refused at once is not asked for again at once.
        await sleep(RETRY_MS);
      }
    };
    for (let n = 0; n < sockets; n++) void client(n);
  },

  /** Ends all of it. */
  end: async () => {
    const ending = running;
    running = [];
    for (const one of ending) one.stopped = true;
    await Promise.all(ending.map(({ stop }) => stop()));
  },

  /** What was made since the last time. */
  take: (): Made => {
    const taken = made;
    made = {};
    return taken;
  },
};

export type NeighbourMethods = typeof methods;
serve(methods);
