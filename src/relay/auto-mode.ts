import type { DeliveryMode, DeliveryPath } from '../domain/delivery-mode';
import type { Log } from '../log';

/** Time over which it is told how much there is to do. */
const WINDOW_MS = 1_000;
/** The engine gets the work back once there was less than this share of what it can do, in so many windows on end. */
const CALM_SHARE = 0.5;
const CALM_WINDOWS = 3;
/** What the engine is taken to manage at least: starts per second. */
const LEAST_PER_SECOND = 5;
/** A way back that ends in failing starts within this time was none: the next one takes twice as many calm windows. */
const HELD_MS = 60_000;
const MAX_CALM_WINDOWS = 300;

/**
 * Decides who makes the attempts of webhooks in mode `auto`: the engine while it keeps up, the express path from when
 * there has been more work than workflows could be started for, or starts failed, without a break, for `lagMs`. Back
 * again only when there has clearly been less for some seconds and the engine answers, so that it does not go to and
 * fro. Each worker process decides for itself.
 */
export function createAutoMode({ lagMs, log, ask, onTurn, nowMs = () => performance.now() }: AutoModeSettings) {
  let express = false;
  let behindSince: { atMs: number; started: number } | undefined;
  let perSecond = LEAST_PER_SECOND;
  let window = { atMs: 0, taken: 0 };
  let calm = 0;
  let calmNeeded = CALM_WINDOWS;
  let backSinceMs = Number.NEGATIVE_INFINITY;
  let asking = false;
  let toldWhyNot = false;

  function turn(to: boolean, why: { because: string; err?: string | undefined }): void {
    express = to;
    behindSince = undefined;
    calm = 0;
    window = { atMs: nowMs(), taken: 0 };
    toldWhyNot = false;
    const path = to ? 'express' : 'workflow';
    const known = Number.isFinite(perSecond) && { workflow_starts_per_s: Math.round(perSecond) };
    log.info({ event: 'auto_mode', path, ...known, ...why });
    onTurn?.(path);
  }

  function toExpress(started: number, behindMs: number, trouble: string | undefined): void {
    const failedSoon = trouble !== undefined && nowMs() - backSinceMs < HELD_MS;
    calmNeeded = failedSoon ? Math.min(2 * calmNeeded, MAX_CALM_WINDOWS) : CALM_WINDOWS;
    // What an engine in trouble started says nothing about what it can do.
    perSecond = trouble === undefined ? Math.max(LEAST_PER_SECOND, (started * 1_000) / behindMs) : Infinity;
    turn(true, trouble === undefined ? { because: 'behind' } : { because: 'starts_fail', err: trouble });
  }

  /** Only an engine that answers gets the work back; asked again after as many calm windows as before. */
  async function askAndReturn(): Promise<void> {
    asking = true;
    const whyNot = await ask();
    asking = false;
    if (!express) return;
    if (whyNot !== undefined) {
      calm = 0;
      if (!toldWhyNot) log.warn({ event: 'auto_mode_stays', path: 'express', err: whyNot });
      toldWhyNot = true;
    } else if (calm >= calmNeeded) {
      backSinceMs = nowMs();
      turn(false, { because: 'calm' });
    }
  }

  return {
    /** The modes of the webhooks that each path serves now. */
    workflow: (): readonly DeliveryMode[] => (express ? ['workflow'] : ['workflow', 'auto']),
    express: (): readonly DeliveryMode[] => (express ? ['express', 'auto'] : ['express']),

    /**
     * After each claim of the workflow path: whether there was more than it could take, its starts so far, and why
     * starts fail or hang.
     */
    onWorkflowClaim(full: boolean, started: number, trouble?: string): void {
      const behind = full || trouble !== undefined;
      // Starts that fail or hang are no calm, however little is left for the express path.
      if (express && behind) calm = 0;
      if (express) return;
      if (!behind) behindSince = undefined;
      else behindSince ??= { atMs: nowMs(), started };
      if (!behindSince) return;
      const behindMs = nowMs() - behindSince.atMs;
      if (behindMs >= lagMs) toExpress(started - behindSince.started, behindMs, trouble);
    },

    /** After each claim of the express path: what it took. */
    onExpressClaim(taken: number): void {
      if (!express) return;
      const passedMs = nowMs() - window.atMs;
      window.taken += taken;
      if (passedMs < WINDOW_MS) return;
      const rate = (window.taken * 1_000) / passedMs;
      calm = rate < perSecond * CALM_SHARE ? calm + 1 : 0;
      window = { atMs: nowMs(), taken: 0 };
      if (calm >= calmNeeded && !asking) void askAndReturn();
    },
  };
}

export type AutoModeSettings = {
  lagMs: number;
  log: Log;
  /** Asks the engine whether it is there: undefined, or why not. Must not reject. */
  ask: () => Promise<string | undefined>;
  /** Hears who makes the attempts from now on. */
  onTurn?: ((path: DeliveryPath) => void) | undefined;
  nowMs?: () => number;
};
export type AutoMode = ReturnType<typeof createAutoMode>;
