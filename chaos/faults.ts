import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, FaultKind, LinkName, RoleName, ServerName, Target } from './schedule';
import type { Site } from './site';

/** A fault that was done: from its begin until it was undone, milliseconds since the epoch. */
export type Done = { kind: FaultKind; target: Target; from: number; until?: number };

/** While a way is cut, connections that are made anew do not live longer than this. */
const CUT_EVERY_MS = 100;
const START_AGAIN_MS = 1_000;

/**
 * Does one fault and undoes it. Resolves once it is over and what died is ready again. What has not come
 * back yet, because the machine is slow or a server away, is left alone.
 */
export async function perform(site: Site, { kind, target, forMs }: Fault, done: Done[]): Promise<void> {
  if (site.roles.get(target as RoleName)?.isUp() === false) return;
  if (done.some((other) => other.target === target && other.until === undefined)) return;
  const record: Done = { kind, target, from: Date.now() };
  done.push(record);
  if (target.includes('>')) await onLink(site, target as LinkName, kind, forMs);
  else if (target === 'postgres' || target === 'temporal') await onServer(site, target, kind, forMs);
  else await onRole(site, target as RoleName, kind, forMs);
  record.until = Date.now();
}

async function onRole(site: Site, name: RoleName, kind: FaultKind, forMs: number): Promise<void> {
  const role = site.roles.get(name)!;
  if (kind === 'stop') {
    role.stop();
    await sleep(forMs);
    role.goOn();
    return;
  }
  await (kind === 'kill9' ? role.kill9() : role.term());
  await sleep(forMs);
  await role.start();
}

async function onServer(site: Site, name: ServerName, kind: FaultKind, forMs: number): Promise<void> {
  const server = site[name];
  if (kind === 'stop') {
    const pids = site.pidsOf(name);
    signal(pids, 'SIGSTOP');
    await sleep(forMs);
    signal(pids, 'SIGCONT');
    return;
  }
  if (kind === 'kill9' || kind === 'wipe') signal(site.pidsOf(name), 'SIGKILL');
  // Of Postgres the immediate stop: no checkpoint.
  else if (kind === 'immediate') signal([server.pid], 'SIGQUIT');
  await server.stop();
  if (kind === 'wipe') site.temporal.loseData();
  await sleep(forMs);
  await startServer(server);
}

async function startServer(server: { start(): Promise<void> }): Promise<void> {
  for (let left = 10; ; left--) {
    try {
      return await server.start();
    } catch (error) {
      if (left === 0) throw error;
      await sleep(START_AGAIN_MS);
    }
  }
}

async function onLink(site: Site, name: LinkName, kind: FaultKind, forMs: number): Promise<void> {
  const proxies = site.links(name);
  if (kind === 'hold') {
    for (const proxy of proxies) proxy.hold();
    await sleep(forMs);
    for (const proxy of proxies) proxy.release();
    return;
  }
  for (const endAt = Date.now() + forMs; Date.now() < endAt; await sleep(CUT_EVERY_MS)) {
    for (const proxy of proxies) proxy.cut();
  }
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // ended meanwhile
    }
  }
}

/** For people: `stop worker-1 for 12 s`. */
export const describe = ({ kind, target, forMs }: Fault): string =>
  `${kind} ${target}${forMs >= 100 ? ` for ${Math.round(forMs / 100) / 10} s` : ''}`;
