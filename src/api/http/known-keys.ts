import { createBatcher } from '../../concurrency/batcher';
import type { Database } from '../../db/database';
import { type ApiKey, type FoundKey, findApiKeys } from '../../db/store/api-keys';

/**
 * A tenant's key that was looked up is good for so long, counted from before the lookup: so one that is revoked anywhere,
 * by whatever means, stops within a second in every process, also where no process hears of anything.
 */
const REMEMBERED_MS = 800;
/** One that is in use is looked up again at this age, beside its requests: none of them waits. */
const REFRESHED_MS = 400;
const REMEMBERED_KEYS = 10_000;
/** Keys of one statement; many come at once when a process has just started. */
const KEYS_PER_STATEMENT = 100;
/** Of the process' connections, this many at most look for keys. */
const STATEMENTS = 2;

export type KnownKeys = {
  /** The key with this hash, unless it is revoked or past its time. */
  find(hash: Buffer): Promise<ApiKey | undefined>;
  /** It was good the last time that this process asked. */
  wasGood(hash: Buffer): boolean;
  /** Nothing that was asked before this call answers for anyone who comes after it. */
  forgetAll(): void;
};

type Remembered = { key: ApiKey; askedMs: number; untilMs: number };
type Lookup = { askedMs: number; found: Promise<ApiKey | undefined> };

/** The API keys in use, by hash. Keys of administrators are looked up for each request. */
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
    // Those of this moment: what is forgotten meanwhile stays forgotten.
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
    forgetAll() {
      remembered = new Map();
      lookups = new Map();
    },
  };
}

const idOf = (hash: Buffer) => hash.toString('base64');
