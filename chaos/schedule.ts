import { seededRandom } from '../test/support/random';

/** What can be done to a process, a server or the network between two of them. */
export type FaultKind = 'kill9' | 'term' | 'stop' | 'immediate' | 'wipe' | 'hold' | 'cut';

export const ROLE_NAMES = ['api-1', 'api-2', 'worker-1', 'worker-2'] as const;
export type RoleName = (typeof ROLE_NAMES)[number];
export const API_NAMES = ['api-1', 'api-2'] as const;
export const WORKER_NAMES = ['worker-1', 'worker-2'] as const;
export type ServerName = 'postgres' | 'temporal';
/** The way from one to another: `worker-1>postgres`, `*>postgres` (all roles), `clients>api-1`. */
export type LinkName = `${RoleName | '*'}>${ServerName}` | `clients>${RoleName}`;
export type Target = RoleName | ServerName | LinkName;

/** Milliseconds from the storm's begin. `forMs`: until it is undone, or until what died is started again. */
export type Fault = { atMs: number; forMs: number; kind: FaultKind; target: Target };

type Card = { kind: FaultKind; targets: readonly Target[]; weight: number; shortestMs: number; longestMs: number };

const links = (server: ServerName) => ROLE_NAMES.map((role): LinkName => `${role}>${server}`);
/** What died is back after this long at most. */
const DOWN_MS = 4_000;
const card = (
  kind: FaultKind,
  targets: readonly Target[],
  weight: number,
  [shortestMs, longestMs]: [number, number] = [0, DOWN_MS],
): Card => ({ kind, targets, weight, shortestMs, longestMs });

/** How often each occurs in a deck; a storm goes through decks, shuffled, until its time is over. */
const DECK: readonly Card[] = [
  card('kill9', WORKER_NAMES, 3),
  card('term', WORKER_NAMES, 2),
  card('stop', WORKER_NAMES, 3, [3_000, 45_000]),
  card('kill9', API_NAMES, 2),
  card('term', API_NAMES, 1),
  card('stop', API_NAMES, 2, [3_000, 45_000]),
  card('kill9', ['postgres'], 2),
  card('immediate', ['postgres'], 1),
  card('term', ['postgres'], 1),
  card('stop', ['postgres'], 3, [1_000, 40_000]),
  card('kill9', ['temporal'], 1),
  card('term', ['temporal'], 1),
  card('stop', ['temporal'], 2, [3_000, 45_000]),
  card('hold', links('postgres'), 4, [1_000, 40_000]),
  card('cut', links('postgres'), 2, [1_000, 40_000]),
  card('hold', links('temporal'), 3, [1_000, 40_000]),
  card('cut', links('temporal'), 1, [1_000, 40_000]),
  card('hold', ['*>postgres', '*>temporal'], 2, [1_000, 40_000]),
  card('hold', ['clients>api-1', 'clients>api-2'], 1, [1_000, 40_000]),
  card('cut', ['clients>api-1', 'clients>api-2'], 2, [1_000, 10_000]),
];
/** Cards of storms of three minutes and more. The first is longer than a worker that hangs is taken for alive (60 s). */
const RARE: readonly Card[] = [card('stop', WORKER_NAMES, 1, [65_000, 75_000]), card('wipe', ['temporal'], 1)];
const RARE_FROM_MS = 180_000;

/** Of faults at the same time: more would only be a site that is off. */
const MAX_AT_ONCE = 3;
const [SHORTEST_GAP_MS, LONGEST_GAP_MS] = [2_000, 7_000];
/** Traffic before the first fault, and after the last one has ended. */
const CALM_MS = 3_000;

/** The same seed and length give the same schedule. Sorted by time; every fault is over before `lengthMs` is. */
export function drawSchedule(seed: number, lengthMs: number): Fault[] {
  const random = seededRandom(seed);
  const faults: Fault[] = [];
  const cards = lengthMs < RARE_FROM_MS ? DECK : [...DECK, ...RARE];
  const endMs = lengthMs - CALM_MS;
  let deck: Card[] = [];
  for (let atMs = CALM_MS; atMs < endMs; atMs += between(random, SHORTEST_GAP_MS, LONGEST_GAP_MS)) {
    if (faults.filter((fault) => atMs < fault.atMs + fault.forMs).length >= MAX_AT_ONCE) continue;
    if (deck.length === 0) deck = shuffle(cards, random);
    // The first card that can be played now; the others keep their turn.
    for (const [i, drawn] of deck.entries()) {
      const target = drawn.targets[Math.floor(random() * drawn.targets.length)]!;
      // More of the short ones, so that there is traffic between them; a short storm has no time for the longest.
      const longestMs = Math.min(drawn.longestMs, Math.max(drawn.shortestMs, lengthMs / 3));
      const forMs = Math.round(drawn.shortestMs + random() ** 1.5 * (longestMs - drawn.shortestMs));
      if (atMs + forMs > endMs || faults.some((other) => touches(other, target, atMs))) continue;
      deck.splice(i, 1);
      faults.push({ atMs: Math.round(atMs), forMs, kind: drawn.kind, target });
      break;
    }
  }
  return faults;
}

/** Time for what was undone to be back, before the same is done to it again. */
const REST_MS = 6_000;

/** A process that is stopped is not killed at the same time, nor a way held twice. */
function touches(fault: Fault, target: Target, atMs: number): boolean {
  if (atMs > fault.atMs + fault.forMs + REST_MS) return false;
  return fault.target === target || fault.target.startsWith('*') || target.startsWith('*');
}

function shuffle(cards: readonly Card[], random: () => number): Card[] {
  const deck = cards.flatMap((one) => Array.from({ length: one.weight }, () => one));
  for (let i = deck.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [deck[i], deck[j]] = [deck[j]!, deck[i]!];
  }
  return deck;
}

function between(random: () => number, least: number, most: number): number {
  return least + random() * (most - least);
}
