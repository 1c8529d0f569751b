import { createBatcher } from '../../concurrency/batcher';
import type { Database } from '../../db/database';
import { type ApiKey, type FoundKey, findApiKeys } from '../../db/store/api-keys';

/**
 * A tenant's key is cached for so long, counted from before its lookup. So a key that is revoked anywhere, by whatever
 * means, stops working within a second in every process, without any notification.
 */
const REMEMBERED_MS = 800;
/** A key in use is looked up again at this age, in the background: no request waits for it. */
const REFRESHED_MS = 400;
const REMEMBERED_KEYS = 10_000;
/** Keys per statement; many come at once when a process has just started. */
const KEYS_PER_STATEMENT = 100;
/** Statements that look up keys at once: each uses one of the process' connections. */
const STATEMENTS = 2;

export type KnownKeys = {
  /** The key with this hash, unless it is revoked or has expired. */
  find(hash: Buffer): Promise<ApiKey | undefined>;
  /** Whether it was good at the last lookup of this process. */
  wasGood(hash: Buffer): boolean;
  /** Drops the cache: no lookup that began before this call answers a later one. */
  invalidateAll(): void;
};

type Remembered = { key: ApiKey; askedMs: number; untilMs: number };
type Lookup = { askedMs: number; found: Promise<ApiKey | undefined> };

/** A cache of the API keys in use, by hash. Admin keys are not cached: they are looked up for each request. */
export function createKnownKeys(
  { kysely }: Pick<Database, 'kysely'>,
  clockMs: () => number = () => performance.now(),
): KnownKeys {
  let remembered = new Map<string, Remembered>();
  let lookups = new Map<string, Lookup>();
  const good = new Set<string>();
  const ask = createBatcher<Buffer, FoundKey | undefined>(
    async (hashes) => {
      const found = await findApiKeys(kysely, hashes);
      return hashes.map((hash) => found.get(idOf(hash)));
    },
    { maxItems: KEYS_PER_STATEMENT, maxRunning: STATEMENTS },
  );

  async function lookUp(hash: Buffer): Promise<ApiKey | undefined> {
    const id = idOf(hash);
    const askedMs = clockMs();
    const earlier = lookups.get(id);
    if (earlier && askedMs - earlier.askedMs < REMEMBERED_MS) {
      const key = await earlier.found;
      return key?.kind === 'admin' ? (await ask(hash))?.key : key;
    }
    // The maps of this moment: a result is not stored in maps that replaced them meanwhile.
    const [into, mine] = [remembered, lookups];
    const found = ask(hash).then((answer) => {
      note(into, id, askedMs, answer);
      return answer?.key;
    });
    const lookup = { askedMs, found };
    mine.set(id, lookup);
    try {
      return await found;
    } finally {
      if (mine.get(id) === lookup) mine.delete(id);
    }
  }

  function note(into: Map<string, Remembered>, id: string, askedMs: number, found: FoundKey | undefined): void {
    into.delete(id);
    good.delete(id);
    if (!found) return;
    if (good.size >= REMEMBERED_KEYS) good.delete(good.values().next().value!);
    good.add(id);
    if (found.key.kind === 'admin') return;
    if (into.size >= REMEMBERED_KEYS) into.delete(into.keys().next().value!);
    into.set(id, { key: found.key, askedMs, untilMs: askedMs + Math.min(REMEMBERED_MS, found.expiresInMs) });
  }

  return {
    async find(hash) {
      const known = remembered.get(idOf(hash));
      const nowMs = clockMs();
      if (!known || known.untilMs <= nowMs) return lookUp(hash);
      if (nowMs - known.askedMs > REFRESHED_MS) lookUp(hash).catch(() => undefined); // the next one that comes asks again
      return known.key;
    },
    wasGood: (hash) => good.has(idOf(hash)),
    invalidateAll() {
      remembered = new Map();
      lookups = new Map();
    },
  };
}

const idOf = (hash: Buffer) => hash.toString('base64');
