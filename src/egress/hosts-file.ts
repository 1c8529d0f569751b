import type { LookupAddress } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

/** A file is read anew after this long: a new entry counts soon, and a burst reads it once. */
const FRESH_MS = 5_000;

/** What a small file of the system says, read anew now and then; one that cannot be read says nothing. */
export function createFileReader<T>(file: string, parse: (text: string) => T): () => Promise<T> {
  let known: { value: Promise<T>; readAtMs: number } | undefined;
  return () => {
    const now = performance.now();
    if (!known || now - known.readAtMs > FRESH_MS) {
      known = { value: readFile(file, 'utf8').then(parse, () => parse('')), readAtMs: now };
    }
    return known.value;
  };
}

/** The names of a hosts file (hosts(5)), in lower case, and where each is. */
export function parseHosts(text: string): ReadonlyMap<string, LookupAddress[]> {
  const hosts = new Map<string, LookupAddress[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const family = isIP(address);
    if (family === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      const known = hosts.get(key);
      if (known) known.push({ address, family });
      else hosts.set(key, [{ address, family }]);
    }
  }
  return hosts;
}

/** Search domains that are tried; glibc's old limit, and more than anyone has. */
const MAX_SEARCH = 6;

/** The search domains of a resolv.conf (resolv.conf(5)): of several lines the last one counts. */
export function parseSearch(text: string): readonly string[] {
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...domains] = line.trim().split(/\s+/);
    if (keyword === 'search' || keyword === 'domain') search = domains;
  }
  return search
    .map((domain) => domain.replace(/\.$/, ''))
    .filter(Boolean)
    .slice(0, MAX_SEARCH);
}
