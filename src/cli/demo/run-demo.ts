import { randomBytes } from 'node:crypto';
import { type ApiClient, createApiClient } from '../api-client';
import { startStack } from '../stack';
import { breakerOpensAndCloses, goneDisables, pauseAndResume } from './gate-steps';
import { startReceiver } from './receiver';
import { bulkReplayAndCancel, deadLetterAndReplay } from './replay-steps';
import { DEMO_SCHEDULE, failAndCancel, failAndReplay, failAndReschedule, publishAndDeliver } from './steps';
import type { Demo, Seen } from './tools';

const STEPS = [
  publishAndDeliver,
  failAndReplay,
  failAndCancel,
  failAndReschedule,
  pauseAndResume,
  breakerOpensAndCloses,
  goneDisables,
  deadLetterAndReplay,
  bulkReplayAndCancel,
];

/**
 * `posthorn demo`: the main job, step by step, against a stack of its own or the running one that POSTHORN_URL and
 * POSTHORN_API_KEY name. Throws at the first step that is not seen.
 */
export async function runDemo({ json }: { json?: boolean }): Promise<void> {
  const say = (line: string) => (json ? console.error(line) : console.log(line));
  const { client, stop } = await connect(say);
  const receiver = await startReceiver();
  const seen: Seen[] = [];
  let failed: string | undefined;
  try {
    const type = `demo.${randomBytes(4).toString('hex')}`;
    const webhook = await client<{ id: string; secret: string }>('POST', '/webhooks', {
      url: receiver.url,
      events: [type],
      retry_policy: DEMO_SCHEDULE,
      description: 'posthorn demo',
    });
    receiver.expectSecret(webhook.secret);
    const demo: Demo = { client, receiver, webhook: webhook.id, type, secret: webhook.secret, say };
    for (const step of STEPS) {
      seen.push(await step(demo));
      say(`  ✓ ${seen.at(-1)!.step}: ${seen.at(-1)!.seen}`);
    }
    await client('DELETE', `/webhooks/${webhook.id}`);
  } catch (error) {
    failed = (error as Error).message;
  } finally {
    await receiver.close();
    await stop();
  }
  report(seen, failed, json === true);
  // Whatever the SDK still holds open must not keep a script from ending.
  process.exit(failed === undefined ? 0 : 1);
}

async function connect(say: (line: string) => void): Promise<{ client: ApiClient; stop: () => Promise<void> }> {
  const { POSTHORN_URL: url, POSTHORN_API_KEY: key } = process.env;
  if (url && !key) throw new Error('POSTHORN_URL is set: set POSTHORN_API_KEY as well.');
  if (url && key) return { client: createApiClient(url.replace(/\/$/, ''), key), stop: async () => undefined };
  const stack = await startStack({ ephemeral: true, say, defaults: { POSTHORN_PORT: '0' } });
  return { client: createApiClient(stack.api.url, stack.apiKey), stop: stack.stop };
}

function report(seen: Seen[], failed: string | undefined, json: boolean): void {
  const ok = failed === undefined;
  if (json) console.log(JSON.stringify({ ok, steps: seen, ...(failed !== undefined && { failed }) }));
  else {
    console.table(seen);
    console.log(ok ? 'Every step was seen.' : `Not seen: ${failed}`);
  }
}
