import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type ApiClient, createApiClient } from './api-client';
import { createInbox, type Inbox } from './inbox';
import { type Stack, startStack } from './stack';
import { untilStopped } from './until-stopped';

export type DevOptions = {
  dataDir?: string;
  ephemeral?: boolean;
  postgresPort?: number;
  temporalPort?: number;
  temporalUiPort: number;
};

const FIRST_DELIVERY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 14_500;

/** `posthorn dev`: the whole of it on one machine, with a webhook that points at a built-in inbox. */
export async function runDev(options: DevOptions): Promise<void> {
  const inbox = createInbox();
  const stack = await startStack({ ...options, router: inbox.router, say: (line) => console.log(line) });
  inbox.expectHost(stack.config.POSTHORN_HOST);
  try {
    const client = createApiClient(stack.api.url, stack.apiKey);
    await ensureInboxWebhook(stack, client, inbox);
    const first = await publishFirst(client, inbox);
    console.log(welcome(stack, first));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  await untilStopped(
    async () => {
      console.log('\nStopping: API, worker, Temporal, Postgres');
      await stack.stop();
      console.log('Stopped.');
    },
    STOP_LIMIT_MS,
    stack.ended,
  );
}

type Registered = { id: string; secret: string };

/** The inbox' webhook is made once and remembered with the data; its URL follows a new port. */
async function ensureInboxWebhook(stack: Stack, client: ApiClient, inbox: Inbox): Promise<void> {
  const file = path.join(stack.dataDir, 'dev-inbox.json');
  const url = `${stack.api.url}/inbox`;
  const known = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Registered) : undefined;
  const kept =
    known &&
    (await client('PATCH', `/webhooks/${known.id}`, { url, active: true }).then(
      () => true,
      () => false,
    ));
  const webhook = kept
    ? known
    : await client<Registered>('POST', '/webhooks', { url, events: ['*'], description: 'The inbox of posthorn dev' });
  if (!kept) writeFileSync(file, JSON.stringify({ id: webhook.id, secret: webhook.secret }), { mode: 0o600 });
  inbox.expectSecret(webhook.secret);
}

async function publishFirst(client: ApiClient, inbox: Inbox) {
  const began = performance.now();
  const event = await client<{ id: string }>('POST', '/events', {
    type: 'order.created',
    data: { order_id: 'ord_1001', total: 4200, currency: 'EUR' },
  });
  const message = await inbox.waitFor(event.id, FIRST_DELIVERY_LIMIT_MS);
  if (!message.verified) throw new Error('The first event arrived with a signature that does not verify.');
  return { message, latencyMs: performance.now() - began };
}

function welcome(stack: Stack, { message, latencyMs }: Awaited<ReturnType<typeof publishFirst>>): string {
  const { url } = stack.api;
  return `
Delivered ${message.type} ${message.event_id} to the inbox in ${latencyMs.toFixed(0)} ms, signature verified:
  ${message.body}

Posthorn is ready.
  API          ${url}/api/v1
  Inbox        ${url}/inbox   (what arrived)
  Temporal UI  ${stack.config.TEMPORAL_UI_URL ?? 'not configured'}
  Postgres     ${withoutPassword(stack.databaseUrl)}
  API key      ${stack.apiKey}
  Log          ${path.join(stack.dataDir, 'posthorn.log')}${stack.metricsUrl ? `\n  Metrics      ${stack.metricsUrl}` : ''}

Publish the next one:
  curl -s ${url}/api/v1/events \\
    -H 'Authorization: Bearer ${stack.apiKey}' -H 'Content-Type: application/json' \\
    -d '{"type":"order.created","data":{"order_id":"ord_1002"}}'

Ctrl-C stops everything.`;
}

function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.password = '';
  return parsed.href;
}
