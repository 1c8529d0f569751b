import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { nowMs } from './clock';
import { MARK } from './mark';
import { serve } from './remote';

/** One arrival in this many is verified as a receiver would (Standard Webhooks' own library), the first one included. */
const VERIFY_EVERY = 10;

/** What arrived of one event: when its last byte first was here, and how often it came. */
export type Arrival = { mark: string; atMs: number; times: number };

let webhook: Webhook | undefined;
let arrivals = new Map<string, Arrival>();
let verified = 0;
let refused = 0;
const waiting = new Map<string, (atMs: number) => void>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const atMs = nowMs();
    response.writeHead(204).end();
    arrive(Buffer.concat(chunks), request.headers as Record<string, string>, atMs);
  });
});
// Senders keep connections; none of them should meet one that we are just closing.
server.keepAliveTimeout = 60_000;

function arrive(body: Buffer, headers: Record<string, string>, atMs: number): void {
  const mark = MARK.exec(body.toString('latin1'))?.[0] ?? 'unmarked';
  const known = arrivals.get(mark);
  if (known) known.times++;
  else arrivals.set(mark, { mark, atMs, times: 1 });
  if (webhook && (arrivals.size - 1) % VERIFY_EVERY === 0) verify(webhook, body, headers);
  waiting.get(mark)?.(atMs);
}

function verify(by: Webhook, body: Buffer, headers: Record<string, string>): void {
  try {
    by.verify(body, headers);
    verified++;
  } catch {
    refused++;
  }
}

const methods = {
  /** Listens on loopback; the URL for deliveries. */
  listen: () =>
    new Promise<string>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)),
    ),
  expectSecret: (secret: string) => {
    webhook = new Webhook(secret);
  },
  /** When this event first arrived. @throws where it does not within the limit */
  waitFor: (mark: string, limitMs: number) =>
    new Promise<number>((resolve, reject) => {
      const known = arrivals.get(mark);
      if (known) return resolve(known.atMs);
      const timer = setTimeout(() => reject(new Error(`${mark} did not arrive in ${limitMs} ms`)), limitMs);
      waiting.set(mark, (atMs) => {
        clearTimeout(timer);
        waiting.delete(mark);
        resolve(atMs);
      });
    }),
  /** How many different events have arrived since the last `take`. */
  count: () => arrivals.size,
  /** Everything since the last `take`, in order of arrival. */
  take: () => {
    const taken = { arrivals: [...arrivals.values()], verified, refused };
    arrivals = new Map();
    verified = refused = 0;
    return taken;
  },
};

export type ReceiverMethods = typeof methods;
serve(methods);
