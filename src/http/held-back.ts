import { createLimiter } from '../concurrency/rate-limiter';
import { addressBlock } from './address-block';

/** For so long after its last offence; somebody who goes on is held back all the time. */
const HELD_BACK_MS = 10_000;
/**
 * New connections of an address that is held back, until they have shown a good key: others may sit behind the address,
 * and a key cannot be shown before a connection is read. Each may cost a handful of requests.
 */
const NEWCOMERS = { count: 20, perMs: 1_000 };
const ADDRESSES = 10_000;

/** Addresses that have lately asked for too much: by block, as in `addressBlock`. */
export function createHeldBack(nowMs: () => number = () => performance.now()) {
  const newcomers = createLimiter(NEWCOMERS, ADDRESSES, nowMs);
  const untilMs = { over_limit: new Map<string, number>(), held_back: new Map<string, number>() };
  type What = keyof typeof untilMs;

  /** Maps keep the order of insertion, so the first one is the oldest. */
  function note(what: What, address: string): void {
    const block = addressBlock(address);
    const known = untilMs[what];
    known.delete(block);
    if (known.size >= ADDRESSES) known.delete(known.keys().next().value!);
    known.set(block, nowMs() + HELD_BACK_MS);
  }

  function is(what: What, address: string): boolean {
    const known = untilMs[what];
    // As it is nearly always: a connection costs no look at its address.
    if (known.size === 0) return false;
    const block = addressBlock(address);
    const until = known.get(block);
    if (until === undefined) return false;
    if (until > nowMs()) return true;
    known.delete(block);
    return false;
  }

  return {
    note,
    is,
    /** A turn for a new connection of an address that is held back; false where there is none left. */
    admit: (address: string) => newcomers.take(addressBlock(address)).allowed,
    /** It has shown a good key: its turn is another's. */
    giveBack: (address: string) => newcomers.giveBack(addressBlock(address)),
  };
}
