import { randomFillSync } from 'node:crypto';
import { fromString, fromUUID, getType, toUUID } from 'typeid-js';

/**
 * Ids are TypeIDs over UUIDv7 at the edge (`evt_01h…`) and plain `uuid` in Postgres.
 * Sources: TypeID specification 0.3; UUIDv7 in RFC 9562, section 5.7.
 */
export const ID_PREFIXES = {
  tenant: 'ten',
  webhook: 'wh',
  event: 'evt',
  delivery: 'del',
  attempt: 'att',
  replay: 'rpl',
  apiKey: 'key',
  audit: 'aud',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

/** The nil uuid (RFC 9562, section 5.9): where whatever goes through ids in their order begins. */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** One call for the random bytes of many ids: each costs as much as many bytes. */
const POOL_BYTES = 4_096;
const pool = Buffer.alloc(POOL_BYTES);
let poolAt = POOL_BYTES;

/** Random bytes that are handed out once; valid until the next call. */
function randomBytes16(): Buffer {
  if (poolAt === POOL_BYTES) {
    randomFillSync(pool);
    poolAt = 0;
  }
  poolAt += 16;
  return pool.subarray(poolAt - 16, poolAt);
}
/** What a public id of this kind looks like: 26 characters of Crockford's base 32, the first one at most 7. */
export const idPattern = (kind: IdKind): string => `^${ID_PREFIXES[kind]}_[0-7][0-9a-hjkmnp-tv-z]{25}$`;

/** A new UUIDv7 with the time of `atMs` (Unix milliseconds) and 74 random bits. */
export function newUuid(atMs: number = Date.now()): string {
  const bytes = randomBytes16();
  bytes.writeUIntBE(atMs, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Unix milliseconds in the first 48 bits of a UUIDv7. */
export function uuidTimeMs(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

/** The smallest uuid of the given millisecond: a bound for partition pruning and time filters. */
export function uuidFloor(atMs: number): string {
  const hex = Math.max(0, Math.floor(atMs)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/** How far clocks of processes that make ids may be ahead of Postgres', by which deliveries end. */
const CLOCKS_DIFFER_MS = 3_600_000;

/** An id above those of all that ended before a time: nothing ends before it is made. */
export const uuidAboveEnded = (endedBeforeMs: number): string => uuidFloor(endedBeforeMs + CLOCKS_DIFFER_MS);

/** Public ids that are remembered: an attempt names the same few again and again, and making one takes a microsecond. */
const MAX_REMEMBERED = 2_000;
const remembered = new Map<string, string>();

/** `evt_…` from a uuid. */
export function toPublicId(kind: IdKind, uuid: string): string {
  const prefix = ID_PREFIXES[kind];
  const known = remembered.get(uuid);
  if (known?.startsWith(prefix)) return known;
  const made = fromUUID(uuid, prefix).toString();
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(uuid, made);
  return made;
}

/** The uuid of a TypeID of this kind, or undefined if the text is not one. */
export function parsePublicId(kind: IdKind, text: string): string | undefined {
  const prefix = ID_PREFIXES[kind];
  if (!text.startsWith(`${prefix}_`)) return undefined;
  try {
    const id = fromString(text);
    return getType(id) === prefix ? toUUID(id) : undefined;
  } catch {
    return undefined;
  }
}

/** The bounds of every id that shares a millisecond: lets Postgres prune partitions of tables keyed by another id. */
export function sameTimeBounds(uuid: string): { from: string; to: string } {
  const atMs = uuidTimeMs(uuid);
  return { from: uuidFloor(atMs), to: uuidFloor(atMs + 1) };
}
