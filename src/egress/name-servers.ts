import type { LookupAddress } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { createFileReader, parseHosts, parseSearch } from './hosts-file';
import type { NameServers } from './types';

export interface NameServersSettings {
  /** Of one lookup, milliseconds. */
  timeoutMs: number;
  /** `address` or `address:port` of each; the system's (/etc/resolv.conf) without it. */
  servers?: readonly string[] | undefined;
  hostsFile?: string;
  resolvConf?: string;
}

/** Packets that are sent to a name server before a timeout counts: one that was lost does not make a name time out. */
const TRIES = 3;
/** If one family has addresses, the other is waited for this much longer at most. */
const OTHER_FAMILY_MS = 1_000;
/**
 * Time into a lookup after which the name servers are probed if no name was answered meanwhile: long enough to be seldom,
 * and so soon that it is known whose fault it is when the shortest time limit of a webhook is over.
 */
const PROBE_AFTER_MS = 500;
/** For the question whether the name servers answer at all; a root's answer is in every resolver's cache. */
const PROBE_LIMIT_MS = 2_000;
const LOOPBACK: LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/** Errors that are no answer of a name server. */
const SILENCE = new Set(['ETIMEOUT', 'ECONNREFUSED', 'ECANCELLED', 'EDESTRUCTION', 'ENOMEM', 'EFILE', 'EBADNAME']);
/** There is no such name, or it has no address of this family. */
const NOT_FOUND = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

/**
 * Looks names up by c-ares: no threads are held, and a lookup can be cancelled, neither of which is so for the
 * system's getaddrinfo. What people rely on of that is kept: the hosts file comes first, `localhost` is this machine (RFC
 * 6761 6.3), and a name that does not exist is looked for in the search domains, after the name as it stands.
 *
 * Each lookup has a channel of its own, so that a change of /etc/resolv.conf counts at once and questions come from
 * ports that cannot be guessed (RFC 5452 4.5). IPv4 comes first: receivers' allow-lists mostly have those.
 */
export function createNameServers(settings: NameServersSettings): NameServers {
  const { timeoutMs, servers, hostsFile = '/etc/hosts', resolvConf = '/etc/resolv.conf' } = settings;
  const hosts = createFileReader(hostsFile, parseHosts);
  const searchDomains = createFileReader(resolvConf, parseSearch);
  let answeredAtMs = Number.NEGATIVE_INFINITY;
  let probing: Promise<void> | undefined;

  async function resolve(hostname: string, signal: AbortSignal): Promise<LookupAddress[]> {
    const name = hostname.replace(/\.$/, '').toLowerCase();
    const known = (await hosts()).get(name);
    if (known) return known;
    if (name === 'localhost' || name.endsWith('.localhost')) return LOOPBACK;
    const search = hostname.endsWith('.') ? [] : await searchDomains();
    for (const candidate of [name, ...search.map((domain) => `${name}.${domain}`)]) {
      signal.throwIfAborted();
      const addresses = await ask(candidate, signal);
      if (addresses.length > 0) return addresses;
    }
    return [];
  }

  /** Both families; an empty list if the name does not exist or has no address. */
  async function ask(name: string, signal: AbortSignal): Promise<LookupAddress[]> {
    const resolver = newResolver(timeoutMs);
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    const askedAtMs = performance.now();
    const probe = setTimeout(
      () => {
        if (answeredAtMs < askedAtMs) void seeWhetherTheyAnswer();
      },
      Math.min(PROBE_AFTER_MS, timeoutMs / 4),
    );
    const found: Record<4 | 6, LookupAddress[]> = { 4: [], 6: [] };
    const codes: string[] = [];
    let late: NodeJS.Timeout | undefined;
    const take = (family: 4 | 6, asked: Promise<string[]>) =>
      asked.then(
        (addresses) => {
          answeredAtMs = performance.now();
          found[family] = addresses.map((address) => ({ address, family }));
          return addresses.length > 0;
        },
        (error: NodeJS.ErrnoException) => {
          codes.push(error.code ?? 'UNKNOWN');
          if (!SILENCE.has(error.code ?? '')) answeredAtMs = performance.now();
          return false;
        },
      );
    try {
      const families = [take(4, resolver.resolve4(name)), take(6, resolver.resolve6(name))];
      const enough = new Promise<void>((resolve) => {
        for (const family of families) {
          void family.then((has) => {
            if (has) late ??= setTimeout(resolve, OTHER_FAMILY_MS);
          });
        }
      });
      await Promise.race([Promise.all(families), enough]);
    } finally {
      clearTimeout(probe);
      clearTimeout(late);
      signal.removeEventListener('abort', cancel);
      resolver.cancel();
    }
    const addresses = [...found[4], ...found[6]];
    const failed = codes.find((code) => !NOT_FOUND.has(code));
    if (addresses.length === 0 && failed) throw Object.assign(new Error(`lookup failed: ${failed}`), { code: failed });
    return addresses;
  }

  /** Asks for the root's name servers, once for all that want to know: any answer will do. */
  function seeWhetherTheyAnswer(): Promise<void> {
    probing ??= newResolver(PROBE_LIMIT_MS)
      .resolveNs('.')
      .then(
        () => true,
        (error: NodeJS.ErrnoException) => !SILENCE.has(error.code ?? ''),
      )
      .then((answered) => {
        if (answered) answeredAtMs = performance.now();
        probing = undefined;
      });
    return probing;
  }

  function newResolver(limitMs: number): Resolver {
    // Each try has twice the time of the one before.
    const resolver = new Resolver({ timeout: Math.ceil(limitMs / (2 ** TRIES - 1)), tries: TRIES });
    if (servers && servers.length > 0) resolver.setServers(servers);
    return resolver;
  }

  return { resolve, answeredSince: (sinceMs) => answeredAtMs >= sinceMs };
}
