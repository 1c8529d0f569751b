import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliveryMode } from '../src/domain/delivery-mode';
import { seededRandom } from '../test/support/random';
import { checkAll } from './checks/all';
import type { Why } from './checks/in-hand';
import { type Call, createClient } from './client';
import { startEndpoints } from './endpoints';
import type { Check, Evidence, Violation } from './evidence';
import { type Done, describe, perform } from './faults';
import { TENANTS } from './hooks';
import { createLedger, type Ledger } from './ledger';
import { checkLists } from './lists';
import { openWorkflows } from './open-workflows';
import { enableGone, openAll, operate, registerHooks } from './operators';
import { produce } from './producer';
import { countWaiting, readRecord } from './record';
import { drawSchedule, type FaultKind } from './schedule';
import { type Site, startSite } from './site';
import { tellStory } from './story';

export type StormOptions = {
  mode: DeliveryMode;
  seed: number;
  minutes: number;
  /** Events a second. */
  rate: number;
  say: (line: string) => void;
  /** Where the logs of the roles and the servers are left. */
  logs?: string | undefined;
};

export type StormResult = {
  mode: DeliveryMode;
  seed: number;
  minutes: number;
  /** Acknowledged with 202. */
  events: number;
  deliveries: number;
  posts: number;
  /** Answered as done. */
  operations: number;
  faults: { [kind in FaultKind]?: number };
  /** POSTs that came twice because their sender died, by why. */
  duplicates_explained: { [why in Why]?: number };
  lost: number;
  stuck: number;
  unexplained: number;
  /** What makes up these three. */
  by_check: { [check in Check]?: number };
  /** Seconds from the last fault until nothing waited any more. */
  settled_s: number;
  /** The longest time in which the harness itself did not get to run. */
  harness_held_up_ms: number;
};

/** Beyond the storm, for everything that waits to be over, on a machine that is busy with other things as well. */
const SETTLE_LIMIT_MS = 1_200_000;
/** Nothing arrives and nothing ends for this long: longer than any lease, timer, reconciler or judgement here. */
const STANDSTILL_MS = 120_000;
/** What an answer may shut again meanwhile is opened this often. */
const REOPEN_EVERY_MS = 10_000;
/** For a request that is repeated until it has an answer. */
const PATIENCE_MS = 180_000;
/** Nothing waits for this long at a stretch: what a worker still had in hand has come. */
const QUIET_MS = 5_000;
const PROGRESS_EVERY_MS = 5_000;
/** Stories that are told in full, of each check. */
const STORIES = 3;
/** Answers that mean a fault of ours, or one of the harness. */
const BAD = [400, 401, 403, 422, 500, 501, 502, 504];

/** Storms a site of its own, lets it settle and checks. Rejects only where the harness itself fails. */
export async function storm(options: StormOptions): Promise<StormResult> {
  const { mode, seed, minutes, rate, say, logs } = options;
  const beganAt = Date.now();
  const tell = (line: string) => say(`${String(Math.round((Date.now() - beganAt) / 1_000)).padStart(4)} s  ${line}`);
  const ledger = createLedger();
  const endpoints = await startEndpoints();
  const delay = monitorEventLoopDelay();
  delay.enable();
  const site = await startSite({ mode, tenants: TENANTS.length, say: tell }).catch(async (error: Error) => {
    await endpoints.close();
    throw error;
  });
  const onExit = () => killAll(site);
  process.once('exit', onExit);
  try {
    const onCall = (call: Call) => {
      if (call.status !== undefined && BAD.includes(call.status)) ledger.badAnswers.push(call);
    };
    const client = createClient(site.apiUrls, onCall);
    const lengthMs = minutes * 60_000;
    const storm = { ...{ site, client, endpoints, ledger, rate }, ...{ storming: () => false, progress: () => 0 } };
    let patient = true;
    const repeating = () => patient;
    await registerHooks({ ...storm, repeating });

    const schedule = drawSchedule(seed, lengthMs);
    tell(`${mode}, seed ${seed}: ${minutes} min, ${schedule.length} faults, about ${rate} events/s`);
    const stormBegan = Date.now();
    const progress = () => (Date.now() - stormBegan) / lengthMs;
    const storming = () => progress() < 1;
    const faults: Done[] = [];
    const ticker = setInterval(() => tell(stateOf(ledger, endpoints.arrivals.length, faults)), PROGRESS_EVERY_MS);
    const part = (salt: number) => ({
      ...storm,
      storming,
      progress,
      repeating,
      random: seededRandom(seed * 1_000 + salt),
    });
    const operating = part(2);
    const producing = produce(part(1));
    const faulting = Promise.all(
      schedule.map(async (fault) => {
        await sleep(Math.max(0, stormBegan + fault.atMs - Date.now()));
        tell(describe(fault));
        await perform(site, fault, faults);
      }),
    );
    await Promise.all([faulting, operate(operating), sleep(lengthMs)]);

    tell('the storm is over');
    const overAt = Date.now();
    // What the storm left asleep or dead would be a fault of the harness.
    await Promise.all([...site.roles.values()].map((role) => role.start()));
    const patience = setTimeout(() => {
      patient = false;
    }, PATIENCE_MS);
    await openAll(operating);
    await producing;
    const {
      at: settledAt,
      open,
      quiet,
    } = await settle(
      site,
      tell,
      () => endpoints.arrivals.length,
      () => enableGone(operating),
    );
    clearTimeout(patience);
    clearInterval(ticker);

    const readAt = Date.now();
    const record = await readRecord(site.postgres.url, site.callers);
    const evidence: Evidence = {
      ...{ ledger, record, faults, openWorkflows: open },
      arrivals: endpoints.arrivals.filter(({ at }) => at < readAt),
      lives: [...site.roles.values()].flatMap(({ lives }) => lives),
      keyIds: site.callers.map(({ keyId }) => keyId),
      tenantIds: site.callers.map(({ tenantId }) => tenantId),
    };
    const { violations, explained } = checkAll(evidence);
    // What still moves cannot be compared, and is a violation already.
    if (quiet) {
      violations.push(...(await checkLists({ client, callers: site.callers, record, random: part(3).random })));
    }
    await tellStories(evidence, violations, beganAt, say);
    if (logs)
      writeFileSync(path.join(site.folder, 'evidence.log'), JSON.stringify({ ...evidence, beganAt, explained }));
    const of = (check: Check) => violations.filter((violation) => violation.check === check).length;
    const operations = ledger.deeds.filter(({ call }) => call.status !== undefined && call.status < 300).length;
    return {
      ...{ mode, seed, minutes },
      events: ledger.publishes.reduce((sum, { accepted }) => sum + accepted.size, 0),
      deliveries: record.deliveries.length,
      posts: endpoints.arrivals.length,
      operations,
      faults: tally(faults.map(({ kind }) => kind)),
      duplicates_explained: tally(explained.map(({ why }) => why)),
      lost: of('lost'),
      stuck: of('stuck'),
      unexplained: violations.length - of('lost') - of('stuck'),
      by_check: tally(violations.map(({ check }) => check)),
      settled_s: Math.round((settledAt - overAt) / 1_000),
      harness_held_up_ms: Math.round(delay.max / 1e6),
    };
  } finally {
    delay.disable();
    tell('ending everything');
    await site.end(logs);
    await endpoints.close();
    process.off('exit', onExit);
  }
}

/** Whether it came to rest, since when, and the workflows that still run. */
type Settled = { quiet: boolean; at: number; open: readonly string[] };

/** Until nothing waits for a while; or until nothing moves any more although something waits. */
async function settle(
  site: Site,
  tell: (line: string) => void,
  posts: () => number,
  reopen: () => Promise<void>,
): Promise<Settled> {
  const limitAt = Date.now() + SETTLE_LIMIT_MS;
  let quietSince: number | undefined;
  let moved = { at: Date.now(), state: '' };
  let reopenedAt = Date.now();
  for (;;) {
    if (Date.now() - reopenedAt >= REOPEN_EVERY_MS) {
      await reopen();
      reopenedAt = Date.now();
    }
    const waiting = await countWaiting(site.postgres.url);
    const open = (await openWorkflows(site.temporal.address)) ?? ['of a Temporal that does not answer'];
    const state = `${waiting} deliveries wait, ${open.length} workflows run, ${posts()} POSTs`;
    if (state !== moved.state) moved = { at: Date.now(), state };
    if (waiting + open.length > 0) quietSince = undefined;
    else quietSince ??= Date.now();
    if (quietSince !== undefined && Date.now() - quietSince >= QUIET_MS) return { quiet: true, at: quietSince, open };
    if (Date.now() > limitAt || Date.now() - moved.at > STANDSTILL_MS) {
      tell(`it does not come to rest: ${state}`);
      return { quiet: false, at: Date.now(), open };
    }
    await sleep(1_000);
  }
}

function stateOf(ledger: Ledger, posts: number, faults: readonly Done[]): string {
  const calls = ledger.publishes.flatMap((publish) => publish.calls);
  const of = (test: (call: Call) => boolean) => calls.filter(test).length;
  const running = faults.filter(({ until }) => until === undefined).map(({ kind, target }) => `${kind} ${target}`);
  return [
    `${of(({ status }) => status === 202)} accepted`,
    `${of(({ status }) => status !== undefined && status >= 400)} refused`,
    `${of(({ error }) => error !== undefined)} without an answer`,
    `${posts} POSTs, ${ledger.deeds.length} deeds`,
    ...(running.length > 0 ? [`now: ${running.join(', ')}`] : []),
  ].join(', ');
}

async function tellStories(
  evidence: Evidence,
  violations: readonly Violation[],
  beganAt: number,
  say: (line: string) => void,
): Promise<void> {
  const told = new Map<Check, number>();
  for (const violation of violations) {
    const times = (told.get(violation.check) ?? 0) + 1;
    told.set(violation.check, times);
    say(times <= STORIES ? await tellStory(evidence, violation, beganAt) : `${violation.check}: ${violation.what}`);
  }
}

function tally<Key extends string>(keys: readonly Key[]): { [key in Key]?: number } {
  const counts: { [key in Key]?: number } = {};
  for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}

/** The harness ends in the middle of a storm: what is stopped would not hear that it should end. */
function killAll(site: Site): void {
  for (const server of ['postgres', 'temporal'] as const) {
    for (const pid of site.pidsOf(server)) {
      try {
        process.kill(pid, 'SIGCONT');
      } catch {
        // ended meanwhile
      }
    }
  }
  for (const role of site.roles.values()) role.goOn();
}
