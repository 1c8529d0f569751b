import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Call, type Client, untilAnswered, wasDone } from './client';
import type { Endpoints } from './endpoints';
import { COMMON_SETTINGS, HOOKS, type HookKind, patternsOf, TENANTS } from './hooks';
import { type Hook, type Ledger, toChange } from './ledger';
import type { Site } from './site';

export type Operating = {
  site: Pick<Site, 'callers'>;
  client: Client;
  endpoints: Endpoints;
  ledger: Ledger;
  random: () => number;
  storming: () => boolean;
  /** Share of the storm's time that is over, 0 to 1. */
  progress: () => number;
  repeating: () => boolean;
};

/** Registers every webhook of every tenant, while nothing is disturbed yet. @throws where one is refused */
export async function registerHooks({ site, client, endpoints, ledger }: Omit<Operating, 'random'>): Promise<void> {
  for (const [tenant, kinds] of TENANTS.entries()) {
    for (const kind of kinds) {
      const name = `t${tenant}-${kind}`;
      const secret = newSecret();
      const call = await client.call(site.callers[tenant]!, tenant, 'POST', '/webhooks', {
        url: endpoints.url(name, kind, 0),
        events: patternsOf(kind),
        secret,
        ...COMMON_SETTINGS,
        ...HOOKS[kind].settings,
      });
      if (call.status !== 201) throw new Error(`no webhook ${name}: ${call.status ?? call.error}`);
      endpoints.secretsOf(name).push(secret);
      const change = toChange(call, true);
      const id: string = call.body.id;
      ledger.hooks.push({
        ...{ name, kind, tenant, id, urls: [change], gates: [] },
        secrets: [{ ...change, grace: true }],
      });
      ledger.deeds.push({ action: 'webhook.create', tenant, target: id, call });
    }
  }
}

const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`;

/** Between two deeds of one operator. */
const [SHORTEST_WAIT_MS, LONGEST_WAIT_MS] = [300, 2_000];
const OPERATORS = 4;
/** Of the newest, which are mostly still under way. */
const RECENT = 60;

type Deed = (operating: Operating) => Promise<void>;

const DEEDS: readonly (readonly [weight: number, deed: Deed])[] = [
  [5, (operating) => toDelivery(operating, 'retry')],
  [5, (operating) => toDelivery(operating, 'cancel')],
  [3, (operating) => toDelivery(operating, 'reschedule')],
  [4, pauseForAWhile],
  [2, moveUrl],
  [2, rotateSecret],
  [2, replayEvent],
  [1, replayHook],
  [1, skip],
  [1, enable],
  [3, look],
];

/** Does things at random until the storm is over, and leaves every webhook open but those that are to stay paused. */
export async function operate(operating: Operating): Promise<void> {
  const { ledger, progress, storming } = operating;
  const one = async () => {
    while (storming()) {
      await draw(operating)(operating);
      await wait(operating);
    }
  };
  const atTimes = async () => {
    const doomed = ledger.hooks.filter(({ kind }) => kind === 'doomed');
    const parked = ledger.hooks.filter(({ kind }) => kind === 'parked');
    for (; storming(); await sleep(500)) {
      if (progress() > 0.35 && doomed.length > 0) await remove(operating, doomed.pop()!);
      const park = progress() > 0.5 ? parked.pop() : undefined;
      if (park) {
        park.parked = true;
        await gate(operating, park, 'pause', true);
      }
    }
  };
  await Promise.all([...Array.from({ length: OPERATORS }, one), atTimes()]);
}

/** Once everything is back: what was paused or disabled flows again. */
export async function openAll(operating: Operating): Promise<void> {
  for (const hook of operating.ledger.hooks) {
    if (hook.parked || hook.deleted) continue;
    await gate(operating, hook, 'enable', true);
    await gate(operating, hook, 'resume', true);
  }
}

/** Endpoints that say 410 now and then go on doing so: an operator opens their webhooks again. */
export async function enableGone(operating: Operating): Promise<void> {
  for (const hook of operating.ledger.hooks) {
    if (hook.kind === 'gone' && !hook.parked && !hook.deleted) await gate(operating, hook, 'enable');
  }
}

function draw({ random }: Operating): Deed {
  let left = random() * DEEDS.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, deed] of DEEDS) {
    left -= weight;
    if (left < 0) return deed;
  }
  return look;
}

const wait = ({ random }: Operating) => sleep(SHORTEST_WAIT_MS + random() * (LONGEST_WAIT_MS - SHORTEST_WAIT_MS));
const oneOf = <T>(items: readonly T[], random: () => number): T | undefined =>
  items[Math.floor(random() * items.length)];

/** Asks one of the apis, and writes the deed down with whatever was answered. */
async function ask(
  { site, client, ledger, random }: Operating,
  deed: { action: string; tenant: number; target: string },
  method: string,
  path: string,
  body?: unknown,
): Promise<Call> {
  const call = await client.call(site.callers[deed.tenant]!, Math.floor(random() * 2), method, path, body);
  ledger.deeds.push({ ...deed, call });
  return call;
}

/** Cancelled by us, or somebody's already: one is cancelled once, so that its line in the audit log can be counted. */
const busy = new WeakMap<Ledger, Set<string>>();

async function toDelivery(operating: Operating, verb: 'retry' | 'cancel' | 'reschedule'): Promise<void> {
  const { site, client, ledger, endpoints, random } = operating;
  const tenant = Math.floor(random() * TENANTS.length);
  let id: string | undefined;
  if (verb === 'retry' && random() < 0.5) {
    const hooks = new Map(ledger.hooks.map((hook) => [hook.name, hook]));
    const recent = endpoints.arrivals.slice(-RECENT).filter(({ hook }) => hooks.get(hook)?.tenant === tenant);
    id = oneOf(recent, random)?.deliveryId;
  } else {
    const states = verb === 'reschedule' ? ['retrying'] : ['retrying', 'pending', 'in_progress', 'held'];
    const state = oneOf(states, random)!;
    const list = await client.call(site.callers[tenant]!, 0, 'GET', `/deliveries?status=${state}&limit=20`);
    id = oneOf<{ id: string }>(list.body?.data ?? [], random)?.id;
  }
  if (!id) return;
  const taken = busy.get(ledger) ?? new Set();
  busy.set(ledger, taken);
  if (verb === 'cancel' && taken.has(id)) return;
  if (verb === 'cancel') taken.add(id);
  const body = { at: new Date(Date.now() + 500 + random() * 5_000).toISOString() };
  const deed = { action: `delivery.${verb}`, tenant, target: id };
  await ask(operating, deed, 'POST', `/deliveries/${id}/${verb}`, verb === 'reschedule' ? body : undefined);
}

const livingHook = ({ ledger, random }: Operating, kinds?: readonly HookKind[]): Hook | undefined =>
  oneOf(
    ledger.hooks.filter((hook) => !hook.deleted && !hook.parked && (!kinds || kinds.includes(hook.kind))),
    random,
  );

async function gate(
  operating: Operating,
  hook: Hook,
  verb: 'pause' | 'resume' | 'enable',
  untilDone = false,
): Promise<void> {
  const deed = { action: `webhook.${verb}`, tenant: hook.tenant, target: hook.id };
  const ones = async () => {
    const call = await ask(operating, deed, 'POST', `/webhooks/${hook.id}/${verb}`);
    if (call.status !== 409) {
      hook.gates.push({ ...toChange(call, wasDone(call)), to: verb === 'pause' ? 'paused' : 'active' });
    }
    // Enabling what is paused, and resuming what is disabled, is refused: that is an answer.
    return call.status === 409 ? { ...call, status: 200 } : call;
  };
  if (!untilDone) await ones();
  else await untilAnswered(ones, { goOn: operating.repeating, waitMs: () => 500 });
}

async function pauseForAWhile(operating: Operating): Promise<void> {
  const hook = livingHook(operating);
  if (!hook) return;
  await gate(operating, hook, 'pause');
  await sleep(500 + operating.random() * 5_000);
  await gate(operating, hook, 'resume');
}

async function enable(operating: Operating): Promise<void> {
  const hook = livingHook(operating, ['gone']);
  if (hook) await gate(operating, hook, 'enable');
}

async function moveUrl(operating: Operating): Promise<void> {
  const hook = livingHook(operating);
  if (!hook) return;
  // Taken before the answer: two operators may move the same webhook.
  const version = hook.urls.push({ askedAt: Date.now(), answeredAt: Number.POSITIVE_INFINITY, done: false }) - 1;
  const deed = { action: 'webhook.update', tenant: hook.tenant, target: hook.id };
  const url = operating.endpoints.url(hook.name, hook.kind, version);
  const call = await ask(operating, deed, 'PATCH', `/webhooks/${hook.id}`, { url });
  hook.urls[version] = toChange(call, wasDone(call));
}

async function rotateSecret(operating: Operating): Promise<void> {
  const hook = livingHook(operating);
  if (!hook) return;
  const secret = newSecret();
  const grace = operating.random() < 0.5;
  operating.endpoints.secretsOf(hook.name).push(secret);
  const n = hook.secrets.push({ askedAt: Date.now(), answeredAt: Number.POSITIVE_INFINITY, done: false, grace }) - 1;
  const deed = { action: 'webhook.secret.rotate', tenant: hook.tenant, target: hook.id };
  const call = await ask(operating, deed, 'POST', `/webhooks/${hook.id}/secret/rotate`, {
    secret,
    grace: grace ? '1h' : '0s',
  });
  hook.secrets[n] = { ...toChange(call, wasDone(call)), grace };
}

async function remove(operating: Operating, hook: Hook): Promise<void> {
  hook.deleted = { askedAt: Date.now(), answeredAt: Number.POSITIVE_INFINITY, done: false };
  const deed = { action: 'webhook.delete', tenant: hook.tenant, target: hook.id };
  const one = () => ask(operating, deed, 'DELETE', `/webhooks/${hook.id}`);
  const call = await untilAnswered(one, { goOn: operating.repeating, waitMs: () => 500 });
  // 404: an earlier request, whose answer was lost, has done it.
  hook.deleted = { ...hook.deleted, answeredAt: call.answeredAt, done: wasDone(call) || call.status === 404 };
}

async function replayEvent(operating: Operating): Promise<void> {
  const { ledger, random } = operating;
  const published = oneOf(ledger.publishes.slice(-RECENT), random);
  const event = published && oneOf([...published.accepted.values()], random);
  if (!event) return;
  const deed = { action: 'event.replay', tenant: published.tenant, target: event.id };
  await ask(operating, deed, 'POST', `/events/${event.id}/replay`, {});
}

async function replayHook(operating: Operating): Promise<void> {
  const hook = livingHook(operating);
  if (!hook) return;
  const since = new Date(Date.now() - 60_000 * (0.2 + operating.random())).toISOString();
  const deed = { action: 'replay.create', tenant: hook.tenant, target: hook.id };
  await ask(operating, deed, 'POST', `/webhooks/${hook.id}/replay`, { since, statuses: ['failed', 'cancelled'] });
}

async function skip(operating: Operating): Promise<void> {
  const hook = livingHook(operating, ['ordered']);
  if (!hook) return;
  const deed = { action: 'webhook.skip', tenant: hook.tenant, target: hook.id };
  await ask(operating, deed, 'POST', `/webhooks/${hook.id}/skip`);
}

/** What a person does who looks around: nothing of it may be a 500. */
async function look(operating: Operating): Promise<void> {
  const { site, client, endpoints, random } = operating;
  const tenant = Math.floor(random() * TENANTS.length);
  const caller = site.callers[tenant]!;
  const seen = oneOf(endpoints.arrivals.slice(-RECENT), random)?.deliveryId;
  const paths = [
    ...['/deliveries?limit=50', '/webhooks', '/dead-letters', '/audit-log?limit=50', '/replays', '/events?limit=20'],
    ...(seen ? [`/deliveries/${seen}`, `/deliveries/${seen}/status`] : []),
  ];
  await client.call(caller, Math.floor(random() * 2), 'GET', oneOf(paths, random)!);
}
