import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import express, { type Router } from 'express';
import { toSigningSecret } from '../egress/secrets';
import { signStandard } from '../egress/signatures';

export type InboxMessage = { event_id: string; type: string; received_at: Date; verified: boolean; body: string };

export type Inbox = {
  router: Router;
  /** A name or address that the api listens on: it may be asked for by it, beside those of loopback. */
  expectHost(host: string): void;
  /** Whose signature is checked. */
  expectSecret(secret: string): void;
  /** Resolves with the message of this event; rejects after `limitMs`. */
  waitFor(eventId: string, limitMs: number): Promise<InboxMessage>;
};

const KEPT = 50;
const MAX_BODY = '1mb';

/**
 * The receiver that `posthorn dev` brings along: `POST /inbox` takes deliveries, `GET /inbox` shows the last ones. It
 * answers the challenges of an endpoint verification, each of the three ways.
 * It has no key, so it answers only to names of this machine: a page on the web whose own name was made to lead to
 * 127.0.0.1 (DNS rebinding) would read it in the browser of whoever opens it.
 */
export function createInbox(): Inbox {
  const messages: InboxMessage[] = [];
  const waiting = new Map<string, (message: InboxMessage) => void>();
  let secret: string | undefined;
  const ownHosts = new Set<string>();
  const router = express.Router();

  router.use('/inbox', (req, res, next) => {
    const host = hostOf(req.headers.host);
    if (host !== undefined && (isLoopback(host) || ownHosts.has(host))) return next();
    res.status(421).json({ error: `The inbox is not served under this name. Ask 127.0.0.1 or localhost for it.` });
  });

  router.post('/inbox', express.raw({ type: () => true, limit: MAX_BODY }), (req, res) => {
    const header = (name: string) => String(req.headers[name] ?? '');
    // Without a body there is nothing to parse, and express leaves the object that it began with.
    const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
    const challenge = challengeIn(body);
    if (challenge !== undefined) return void res.json({ challenge });
    const message: InboxMessage = {
      event_id: header('webhook-id'),
      type: header('x-webhook-event'),
      received_at: new Date(),
      verified: secret !== undefined && verify(secret, header, body),
      body: body.toString('utf8'),
    };
    messages.unshift(message);
    messages.length = Math.min(messages.length, KEPT);
    waiting.get(message.event_id)?.(message);
    res.status(204).end();
  });
  router.get('/inbox', (req, res) => {
    const { challenge } = req.query;
    if (typeof challenge === 'string') res.type('text/plain').send(challenge);
    else res.json({ data: messages });
  });
  router.options('/inbox', (req, res) => {
    const origin = req.headers['webhook-request-origin'];
    if (typeof origin === 'string') res.set('webhook-allowed-origin', origin);
    res.status(204).end();
  });

  return {
    router,
    expectHost(value) {
      const host = hostOf(isIPv6(value) ? `[${value}]` : value);
      if (host) ownHosts.add(host);
    },
    expectSecret(value) {
      secret = value;
    },
    waitFor(eventId, limitMs) {
      const found = messages.find((message) => message.event_id === eventId);
      if (found) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(eventId);
          reject(new Error(`event ${eventId} did not arrive at the inbox within ${limitMs / 1000} s`));
        }, limitMs);
        waiting.set(eventId, (message) => {
          clearTimeout(timer);
          waiting.delete(eventId);
          resolve(message);
        });
      });
    },
  };
}

/** The challenge of an endpoint verification, if the body is one. */
export function challengeIn(body: Buffer): string | undefined {
  try {
    const given = JSON.parse(body.toString('utf8')) as { type?: unknown; challenge?: unknown } | null;
    return given?.type === 'url_verification' && typeof given.challenge === 'string' ? given.challenge : undefined;
  } catch {
    return undefined;
  }
}

/** What every receiver does (Standard Webhooks 1.0.0): the same signature over the same bytes, in constant time. */
export function verify(secret: string, header: (name: string) => string, body: Buffer): boolean {
  const expected = signStandard({
    secrets: [toSigningSecret(secret)],
    id: header('webhook-id'),
    timestampSeconds: Number(header('webhook-timestamp')),
    body,
  });
  return header('webhook-signature')
    .split(' ')
    .some((signature) => timingSafeEqual(digest(signature), digest(expected)));
}

/** The name or address in a Host header (RFC 9110 7.2), without its port; undefined if it is none. */
export function hostOf(header: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.exec(header ?? '')?.[1]?.toLowerCase();
}

/** A name or address that no name server can make lead anywhere else (RFC 6761 6.3, RFC 1122 3.2.1.3, RFC 4291 2.5.3). */
function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '[::1]') return true;
  return isIPv4(host) && host.startsWith('127.');
}

const digest = (text: string) => createHash('sha256').update(text).digest();
