import path from 'node:path';
import { type Greeting, greet } from './greeting';
import { createInbox } from './inbox';
import { type Stack, startStack } from './stack';
import { untilStopped } from './until-stopped';

export type DevOptions = {
  dataDir?: string;
  ephemeral?: boolean;
  postgresPort?: number;
  temporalPort?: number;
  temporalUiPort?: number;
};

const STOP_LIMIT_MS = 14_500;

/** `posthorn dev`: the whole of it on one machine, with a webhook that points at a built-in inbox. */
export async function runDev(options: DevOptions): Promise<void> {
  const inbox = createInbox();
  const say = (line: string) => console.log(line);
  const stack = await startStack({ temporalUiPort: 'usual', ...options, router: inbox.router, say });
  inbox.expectHost(stack.config.POSTHORN_HOST);
  inbox.expectHost(new URL(stack.inboxUrl).hostname);
  console.log(`${greetingLines(await greet(stack, inbox))}\n${welcome(stack)}`);
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

function greetingLines(greeting: Greeting): string {
  if ('trouble' in greeting) {
    return `\nWarning: the greeting to the inbox was not delivered. ${greeting.trouble}.`;
  }
  const { message, latencyMs } = greeting;
  return `
Delivered ${message.type} ${message.event_id} to the inbox in ${latencyMs.toFixed(0)} ms, signature verified:
  ${message.body}`;
}

function welcome(stack: Stack): string {
  const { url } = stack;
  return `
Posthorn is ready.
  API          ${url}/api/v1
  Docs         ${url}/docs   (every route, for a browser)
  Inbox        ${url}/inbox   (what arrived)
  Temporal UI  ${stack.config.TEMPORAL_UI_URL ?? 'not configured'}
  Postgres     ${stack.ownPostgres ? stack.databaseUrl : `${whereIs(stack.databaseUrl)}   (of DATABASE_URL)`}
  API key      ${stack.apiKey}
  Log          ${path.join(stack.dataDir, 'posthorn.log')}${stack.metricsUrl ? `\n  Metrics      ${stack.metricsUrl}` : ''}

Publish the next one:
  curl -s ${url}/api/v1/events \\
    -H 'Authorization: Bearer ${stack.apiKey}' -H 'Content-Type: application/json' \\
    -d '{"type":"order.created","data":{"order_id":"ord_1002","customer_id":"cus_42","total":4200,"currency":"EUR"}}'

Ctrl-C stops everything.`;
}

/** Host, port and database: what is not embedded has a password of its own, which is not ours to show. */
function whereIs(databaseUrl: string): string {
  const { host, pathname } = new URL(databaseUrl);
  return `${host}${pathname}`;
}
