import { createHash, timingSafeEqual } from 'node:crypto';
import express, { type Router } from 'express';
import { signStandard } from '../egress/signatures';

export type InboxMessage = { event_id: string; type: string; received_at: Date; verified: boolean; body: string };

export type Inbox = {
  router: Router;
  /** Whose signature is checked. */
  expectSecret(secret: string): void;
  /** Resolves with the message of this event; rejects after `limitMs`. */
  waitFor(eventId: string, limitMs: number): Promise<InboxMessage>;
};

const KEPT = 50;
const MAX_BODY = '1mb';

/** The receiver that `posthorn dev` brings along: `POST /inbox` takes deliveries, `GET /inbox` shows the last ones. */
export function createInbox(): Inbox {
  const messages: InboxMessage[] = [];
  const waiting = new Map<string, (message: InboxMessage) => void>();
  let secret: string | undefined;
  const router = express.Router();

  router.post('/inbox', express.raw({ type: () => true, limit: MAX_BODY }), (req, res) => {
    const header = (name: string) => String(req.headers[name] ?? '');
    const body = req.body as Buffer;
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
  router.get('/inbox', (_req, res) => void res.json({ data: messages }));

  return {
    router,
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

/** What every receiver does (Standard Webhooks 1.0.0): the same signature over the same bytes, in constant time. */
export function verify(secret: string, header: (name: string) => string, body: Buffer): boolean {
  const expected = signStandard({
    secrets: [secret],
    id: header('webhook-id'),
    timestampSeconds: Number(header('webhook-timestamp')),
    body,
  });
  return header('webhook-signature')
    .split(' ')
    .some((signature) => timingSafeEqual(digest(signature), digest(expected)));
}

const digest = (text: string) => createHash('sha256').update(text).digest();
