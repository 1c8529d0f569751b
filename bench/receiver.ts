import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { nowMs } from './clock';
import { MARK } from './mark';
import { serve } from './remote';

/** One arrival in this many is verified as a receiver would (Standard Webhooks' own library), a webhook's first one included. */
const VERIFY_EVERY = 10;

/** What arrived of one event at one webhook: when its last byte first was here, and how often it came. */
export type Arrival = { path: string; mark: string; atMs: number; times: number };

/** Webhooks by the path of their URL; undefined where what comes cannot be verified. */
const webhooks = new Map<string, Webhook | undefined>();
/** Paths whose first so many requests of an event are answered 500. */
const failures = new Map<string, number>();
/** What arrived there since the last `take`, by mark. */
let arrivals = new Map<string, Map<string, Arrival>>();
let verified = 0;
let refused = 0;
const waiting = new Map<string, () => void>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const atMs = nowMs();
    const body = Buffer.concat(chunks);
    if (failures.size > 0 && fails(request.url!, body, atMs)) {
      response.writeHead(500).end();
      return;
    }
    response.writeHead(204).end();
    arrive(request.url!, body, request.headers as Record<string, string>, atMs);
  });
});
// Senders keep connections; none of them should meet one that we are just closing.
server.keepAliveTimeout = 60_000;

/** What was refused, by mark: how often, and when last. */
const refusals = new Map<string, { times: number; atMs: number }>();

function fails(path: string, body: Buffer, atMs: number): boolean {
  const wanted = failures.get(path) ?? 0;
  if (wanted === 0) return false;
  const mark = MARK.exec(body.toString('latin1'))?.[0] ?? 'unmarked';
  const times = refusals.get(mark)?.times ?? 0;
  if (times >= wanted) return false;
  refusals.set(mark, { times: times + 1, atMs });
  return true;
}

function arrive(path: string, body: Buffer, headers: Record<string, string>, atMs: number): void {
  const mark = MARK.exec(body.toString('latin1'))?.[0] ?? 'unmarked';
  const here = arrivedAt(path);
  const known = here.get(mark);
  if (known) known.times++;
  else here.set(mark, { path, mark, atMs, times: 1 });
  if ((here.size - 1) % VERIFY_EVERY === 0) verify(path, body, headers);
  waiting.get(mark)?.();
}

function arrivedAt(path: string): Map<string, Arrival> {
  const here = arrivals.get(path) ?? new Map<string, Arrival>();
  arrivals.set(path, here);
  return here;
}

/** What comes to a path that nobody registered is refused as well. */
function verify(path: string, body: Buffer, headers: Record<string, string>): void {
  if (webhooks.has(path) && !webhooks.get(path)) return;
  try {
    webhooks.get(path)!.verify(body, headers);
    verified++;
  } catch {
    refused++;
  }
}

const methods = {
  /** Listens on loopback; the URL that paths of webhooks are added to, without a slash at its end. */
  listen: () =>
    new Promise<string>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    ),
  now: nowMs,
  /** One more webhook is received here: what comes to `path` is signed with `secret`; null: is not verified. */
  expectWebhook: (path: string, secret: string | null) => {
    webhooks.set(path, secret === null ? undefined : new Webhook(secret));
  },
  /** The first `times` requests of each event at this path are answered 500 from now on. */
  fail: (path: string, times: number) => void failures.set(path, times),
  /** When each event was last answered 500, by mark; how many in all. */
  refusals: () => [...refusals].map(([mark, { atMs }]) => [mark, atMs] as const),
  refusalCount: () => refusals.size,
  /** Whether this event arrives within the limit. */
  waitFor: (mark: string, limitMs: number) =>
    new Promise<boolean>((resolve) => {
      for (const here of arrivals.values()) if (here.has(mark)) return resolve(true);
      const answer = (arrived: boolean) => {
        clearTimeout(timer);
        waiting.delete(mark);
        resolve(arrived);
      };
      const timer = setTimeout(() => answer(false), limitMs);
      waiting.set(mark, () => answer(true));
    }),
  /** How many different events have arrived since the last `take`, at one webhook or added up over all. */
  count: (path?: string) =>
    path === undefined
      ? [...arrivals.values()].reduce((sum, here) => sum + here.size, 0)
      : (arrivals.get(path)?.size ?? 0),
  /** Everything since the last `take`; of each webhook in order of arrival. */
  take: () => {
    const taken = { arrivals: [...arrivals.values()].flatMap((here) => [...here.values()]), verified, refused };
    arrivals = new Map();
    verified = refused = 0;
    return taken;
  },
};

export type ReceiverMethods = typeof methods;
serve(methods);
