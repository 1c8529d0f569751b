import type { LookupAddress } from 'node:dns';
import { OwnTroubleError } from '../domain/own-trouble';
import { EgressError, type SendErrorCode } from './errors';
import type { NameServers } from './types';

/**
 * Lookups at once. They hold no threads, but a socket or two each; enough that none waits in ordinary times, and few
 * enough for the machine's name server.
 */
const MAX_LOOKUPS = 512;
/** Of one tenant: while all of these time out, 15 other tenants still get theirs; answered, they are 1,000 a second. */
const MAX_LOOKUPS_PER_TENANT = 32;
/** Longest wait for a permit. Then the lookup is not begun, which says nothing about the name. */
const MAX_WAIT_MS = 2_000;
/** A name that was not answered in time is not looked up again for this long: a short outage costs no more than a retry. */
const FIRST_REMEMBERED_MS = 5_000;
/** Doublings of that with each time in a row: up to 80 s, in which a dead name costs one lookup. */
const DOUBLINGS = 4;
/** Dead names that are kept; beyond it the oldest are dropped. */
const MAX_REMEMBERED = 10_000;

const LIMITS: LookupLimits = {
  atOnce: MAX_LOOKUPS,
  perTenant: MAX_LOOKUPS_PER_TENANT,
  waitMs: MAX_WAIT_MS,
  rememberedMs: FIRST_REMEMBERED_MS,
};

export type OnBegun = (answersCome: () => boolean) => void;

export interface Lookups {
  /**
   * The addresses of a name, unchecked; none if it does not exist.
   * @param tenantId whose lookup it is: they are shared out by tenant
   * @param onBegun called when the lookup begins, with a function that tells whether name servers have answered since
   * @throws EgressError if it is the name's fault, OwnTroubleError if it is ours
   */
  find(hostname: string, tenantId: string, onBegun?: OnBegun): Promise<LookupAddress[]>;
}

export interface LookupLimits {
  /** Lookups under way, in all and of one tenant. */
  atOnce: number;
  perTenant: number;
  /** Longest wait for a permit. */
  waitMs: number;
  /** After a name's first silence. */
  rememberedMs: number;
}

export interface LookupsSettings {
  nameServers: NameServers;
  /** Limit of one lookup, from the moment it begins. */
  timeoutMs: number;
  limits?: LookupLimits | undefined;
}

type Waiter = { begin: OnBegun; resolve: (addresses: LookupAddress[]) => void; reject: (error: Error) => void };

/**
 * Looks names up for many tenants at once. Each name is looked up once at a time, whoever asks for it. A tenant has a
 * limited number of lookups at once, half as many for names that timed out the last time, which come after the others.
 * The tenant with the fewest lookups under way is served next. Answers are not kept, but timeouts are.
 */
export function createLookups(settings: LookupsSettings): Lookups {
  const { nameServers, timeoutMs, limits = LIMITS } = settings;
  const { atOnce, perTenant, waitMs, rememberedMs } = limits;
  /** By tenant and then name, each in the order in which it came. */
  const waiting = new Map<string, Map<string, Set<Waiter>>>();
  const running = new Map<string, { waiters: Set<Waiter>; answersCome: () => boolean }>();
  const runningOf = new Counts();
  /** Of those, names that were silent the last time. */
  const suspectsOf = new Counts();
  /** Names that were not answered the last time, and until when they are not asked for. The oldest are first. */
  const silent = new Map<string, { untilMs: number; rememberedMs: number }>();

  function find(hostname: string, tenantId: string, onBegun?: OnBegun): Promise<LookupAddress[]> {
    if ((silent.get(hostname)?.untilMs ?? 0) > performance.now()) return Promise.reject(new EgressError('dns_timeout'));
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const waiter: Waiter = {
        begin(answersCome) {
          clearTimeout(timer);
          onBegun?.(answersCome);
        },
        resolve,
        reject,
      };
      const joined = running.get(hostname);
      if (joined) {
        joined.waiters.add(waiter);
        waiter.begin(joined.answersCome);
        return;
      }
      lineUp(hostname, tenantId, waiter);
      beginMore();
      if (!waiting.get(tenantId)?.get(hostname)?.has(waiter)) return;
      timer = setTimeout(() => {
        leave(hostname, tenantId, waiter);
        reject(new OwnTroubleError('lookup_queue'));
      }, waitMs);
    });
  }

  function lineUp(hostname: string, tenantId: string, waiter: Waiter): void {
    const names = waiting.get(tenantId) ?? new Map<string, Set<Waiter>>();
    waiting.set(tenantId, names);
    const waiters = names.get(hostname) ?? new Set<Waiter>();
    names.set(hostname, waiters);
    waiters.add(waiter);
  }

  function leave(hostname: string, tenantId: string, waiter: Waiter): void {
    const names = waiting.get(tenantId);
    const waiters = names?.get(hostname);
    waiters?.delete(waiter);
    if (waiters?.size === 0) names?.delete(hostname);
    if (names?.size === 0) waiting.delete(tenantId);
  }

  function beginMore(): void {
    while (running.size < atOnce) {
      const next = nextLookup();
      if (!next) return;
      void lookUp(next.hostname, next.tenantId);
    }
  }

  /** The next lookup, of the tenant with the fewest under way; of several tenants, the one that has waited longest. */
  function nextLookup(): { hostname: string; tenantId: string } | undefined {
    let next: { hostname: string; tenantId: string } | undefined;
    let fewest = perTenant;
    for (const [tenantId, names] of waiting) {
      const count = runningOf.get(tenantId);
      const hostname = count < fewest ? nextName(tenantId, names) : undefined;
      if (hostname === undefined) continue;
      next = { hostname, tenantId };
      fewest = count;
      if (count === 0) break;
    }
    return next;
  }

  function nextName(tenantId: string, names: ReadonlyMap<string, unknown>): string | undefined {
    let suspect: string | undefined;
    for (const name of names.keys()) {
      if (!silent.has(name)) return name;
      suspect ??= name;
    }
    return suspectsOf.get(tenantId) < Math.ceil(perTenant / 2) ? suspect : undefined;
  }

  async function lookUp(hostname: string, tenantId: string): Promise<void> {
    const waiters = takeWaiters(hostname);
    const begunAtMs = performance.now();
    const answersCome = () => nameServers.answeredSince(begunAtMs);
    const counts = silent.has(hostname) ? [runningOf, suspectsOf] : [runningOf];
    running.set(hostname, { waiters, answersCome });
    for (const count of counts) count.add(tenantId, 1);
    // Its next one comes after those of tenants with as many under way.
    const rest = waiting.get(tenantId);
    if (rest) {
      waiting.delete(tenantId);
      waiting.set(tenantId, rest);
    }
    for (const waiter of waiters) waiter.begin(answersCome);
    const end = await ask(hostname, answersCome).then(
      (addresses) => (waiter: Waiter) => waiter.resolve(addresses),
      (error: Error) => (waiter: Waiter) => waiter.reject(error),
    );
    running.delete(hostname);
    for (const count of counts) count.add(tenantId, -1);
    waiters.forEach(end);
    beginMore();
  }

  /** All that wait for this name, of whichever tenant. */
  function takeWaiters(hostname: string): Set<Waiter> {
    const all = new Set<Waiter>();
    for (const [tenantId, names] of waiting) {
      for (const waiter of names.get(hostname) ?? []) all.add(waiter);
      names.delete(hostname);
      if (names.size === 0) waiting.delete(tenantId);
    }
    return all;
  }

  async function ask(hostname: string, answersCome: () => boolean): Promise<LookupAddress[]> {
    const given = new AbortController();
    const timer = setTimeout(() => given.abort(), timeoutMs);
    const late = new Promise<never>((_, reject) => {
      given.signal.addEventListener('abort', () => reject(silence()), { once: true });
    });
    try {
      const addresses = await Promise.race([nameServers.resolve(hostname, given.signal), late]);
      silent.delete(hostname);
      return addresses;
    } catch (error) {
      const code = String((error as NodeJS.ErrnoException).code);
      if (OUR_OWN[code]) throw new OwnTroubleError(OUR_OWN[code], { cause: error });
      const sendErrorCode = dnsCode(code);
      if (sendErrorCode !== 'dns_timeout') throw new EgressError(sendErrorCode, { cause: error });
      if (!answersCome()) throw new OwnTroubleError('name_servers_unavailable', { cause: error });
      remember(hostname);
      throw new EgressError('dns_timeout', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  function remember(hostname: string): void {
    const before = silent.get(hostname)?.rememberedMs;
    const forMs = before === undefined ? rememberedMs : Math.min(2 * before, rememberedMs * 2 ** DOUBLINGS);
    silent.delete(hostname);
    silent.set(hostname, { untilMs: performance.now() + forMs, rememberedMs: forMs });
    if (silent.size <= MAX_REMEMBERED) return;
    const [oldest] = silent.keys();
    silent.delete(oldest!);
  }

  return { find };
}

/** How many of each; none of most. */
class Counts {
  readonly #counts = new Map<string, number>();

  get(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, change: number): void {
    const count = this.get(key) + change;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

function silence(): Error {
  return Object.assign(new Error('not answered in time'), { code: 'ETIMEOUT' });
}

/** c-ares' words for what is missing here, not at the name. */
const OUR_OWN: Readonly<Record<string, 'system_limit' | 'stopping'>> = {
  ENOMEM: 'system_limit',
  EFILE: 'system_limit',
  EMFILE: 'system_limit',
  ENFILE: 'system_limit',
  ECANCELLED: 'stopping',
  EDESTRUCTION: 'stopping',
};

function dnsCode(code: string): SendErrorCode {
  switch (code) {
    case 'ETIMEOUT':
    // One of several name servers; if it is all of them, nothing was answered at all.
    case 'ECONNREFUSED':
      return 'dns_timeout';
    case 'ENOTFOUND':
    case 'ENODATA':
    case 'EBADNAME':
      return 'dns_not_found';
    default:
      return 'dns_failed';
  }
}
