import { createLimiter } from '../concurrency/rate-limiter';
import { addressBlock } from './address-block';

/** An address is held back for this long after its last offence; one that goes on stays held back. */
const HELD_BACK_MS = 10_000;
/**
 * New connections of an address that is held back and that have shown no good key yet: honest clients may sit behind the
 * address, and a key cannot be shown before a connection is read. Each may cost a handful of requests.
 */
const NEWCOMERS = { count: 20, perMs: 1_000 };
const ADDRESSES = 10_000;

/** Addresses that have lately made too many requests: by block, as in `addressBlock`. */
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
    // The usual case: no address is held back, and a connection costs no lookup of its address.
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
    /** Whether one more new connection of an address that is held back may be opened now. */
    admit: (address: string) => newcomers.take(addressBlock(address)).allowed,
    /** The connection has shown a good key: its permit is free for another one. */
    refund: (address: string) => newcomers.refund(addressBlock(address)),
  };
}
