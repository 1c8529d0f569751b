import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../db/database';
import { publishTo } from '../db/publish/publish-to';
import { envelope } from '../domain/envelope';
import { GREETING_EVENT } from '../domain/event-types';
import { newUuid, parsePublicId, toPublicId } from '../domain/ids';
import { type ApiClient, createApiClient, NotDoneError } from './api-client';
import type { Inbox, InboxMessage } from './inbox';
import type { Stack } from './stack';

/** What became of the greeting. */
export type Greeting = { message: InboxMessage; latencyMs: number } | { trouble: string };

/** A first delivery on a slow machine, an endpoint verification before it included. */
const LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 250;
const DATA = '{"text":"Posthorn delivers."}';

/**
 * Sends an event of a reserved type to the inbox, and to no webhook of anybody else, and waits until it has arrived.
 * Never throws: what goes wrong is for whoever reads the terminal, and no reason not to start.
 */
export async function greet(stack: Stack, inbox: Inbox): Promise<Greeting> {
  try {
    const client = createApiClient(stack.localUrl, stack.apiKey);
    return await send(stack, client, inbox, await readyInbox(stack, client, inbox));
  } catch (error) {
    return { trouble: (error as Error).message };
  }
}

type Webhook = {
  id: string;
  url: string;
  status: 'active' | 'paused' | 'disabled';
  health: { circuit: string; throttled_until: string | null };
  verification: { status: string };
};

/** The inbox' webhook is made once and remembered with the data; its URL follows a new port. Returns its id. */
async function readyInbox(stack: Stack, client: ApiClient, inbox: Inbox): Promise<string> {
  const file = path.join(stack.dataDir, 'dev-inbox.json');
  const known = readId(file);
  const kept = known && (await reuse(known, stack.inboxUrl, client).catch(ifGone));
  if (kept) {
    inbox.expectSecret(kept.secret);
    return known;
  }
  const made = await client<{ id: string; secret: string }>('POST', '/webhooks', {
    url: stack.inboxUrl,
    events: ['*'],
    description: 'The inbox of posthorn dev',
  });
  writeFileSync(file, JSON.stringify({ id: made.id }), { mode: 0o600 });
  inbox.expectSecret(made.secret);
  return made.id;
}

/** Deleted, of another database, or sealed under keys that are not there any more: then a new one is made. */
function ifGone(error: unknown): undefined {
  if (error instanceof NotDoneError && (error.status === 404 || error.status === 500)) return undefined;
  throw error;
}

function readId(file: string): string | undefined {
  try {
    const { id } = JSON.parse(readFileSync(file, 'utf8')) as { id?: unknown };
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}

/** Makes the webhook deliver to the inbox of this start. */
async function reuse(id: string, url: string, client: ApiClient): Promise<{ secret: string }> {
  const before = await client<Webhook>('GET', `/webhooks/${id}`);
  const { secret } = await client<{ secret: string }>('GET', `/webhooks/${id}/secret`);
  if (before.url !== url) await client('PATCH', `/webhooks/${id}`, { url });
  if (before.status === 'disabled') await client('POST', `/webhooks/${id}/enable`);
  else if (before.status === 'paused' || before.health.circuit !== 'closed' || before.health.throttled_until !== null) {
    await client('POST', `/webhooks/${id}/resume`);
  }
  // One that an earlier start could not answer: the gate may hold for it.
  if (before.url === url && before.verification.status === 'failed') await client('POST', `/webhooks/${id}/verify`);
  return { secret };
}

async function send(stack: Stack, client: ApiClient, inbox: Inbox, webhook: string): Promise<Greeting> {
  const createdAt = new Date();
  const id = newUuid(createdAt.getTime());
  const event = toPublicId('event', id);
  const arrival = inbox.waitFor(event, LIMIT_MS);
  arrival.catch(() => undefined); // looked at below, unless something else is thrown first
  const began = performance.now();
  const delivery = await publish(stack, {
    id,
    type: GREETING_EVENT,
    body: envelope({ id, type: GREETING_EVENT, version: '1.0', createdAt, data: DATA }),
    createdAt,
    // The one that this worker claims first, if it claims some only.
    priority: stack.config.POSTHORN_PRIORITIES[0]!,
    webhookId: parsePublicId('webhook', webhook)!,
  });
  stack.nudge();
  const ended = new AbortController();
  try {
    const message = await Promise.race([arrival, untilItCannotArrive(client, delivery, ended.signal)]);
    const latencyMs = performance.now() - began;
    return message.verified
      ? { message, latencyMs }
      : { trouble: 'it arrived, but its signature does not verify: the secret or the signature styles were changed' };
  } catch (error) {
    const why = await reasonOf(client, delivery);
    // Nobody waits for it any more; each start would otherwise leave one behind.
    await client('POST', `/deliveries/${delivery}/cancel`).catch(() => undefined);
    return { trouble: [(error as Error).message, ...why].join('; ') };
  } finally {
    ended.abort();
  }
}

async function publish(stack: Stack, event: Parameters<typeof publishTo>[1]): Promise<string> {
  const url = stack.databaseUrl;
  const db = openDatabase({ url, poolSize: 1, applicationName: 'posthorn-dev', planner: 'default' });
  try {
    const delivery = await publishTo(db.pool, event);
    if (!delivery) throw new Error("the inbox' webhook was deleted meanwhile");
    return toPublicId('delivery', delivery);
  } finally {
    await db.close();
  }
}

type Delivery = {
  status: string;
  held_because?: string;
  failed_because?: string;
  last_status_code: number | null;
  last_error_code: string | null;
};

/** Rejects once the delivery has failed for good. */
async function untilItCannotArrive(client: ApiClient, delivery: string, signal: AbortSignal): Promise<never> {
  for (;;) {
    await sleep(LOOK_EVERY_MS, undefined, { signal });
    const seen = await client<Delivery>('GET', `/deliveries/${delivery}`).catch(() => undefined);
    if (seen?.status === 'failed' || seen?.status === 'cancelled') throw new Error(`its delivery is ${seen.status}`);
  }
}

/** What the delivery says of itself. */
async function reasonOf(client: ApiClient, delivery: string): Promise<string[]> {
  const seen = await client<Delivery>('GET', `/deliveries/${delivery}`).catch(() => undefined);
  if (!seen) return [];
  const { status, held_because, failed_because, last_status_code, last_error_code } = seen;
  const reasons = [held_because, failed_because, last_error_code, last_status_code && `status ${last_status_code}`];
  return [[`${delivery} is ${status}`, ...reasons.filter(Boolean)].join(', ')];
}
