import type { DeliveryLane, FirstAttempt } from '../domain/first-attempt';
import type { Log } from '../log';

/** Time over which it is told how much there is to do. */
const WINDOW_MS = 1_000;
/** The engine gets the work back once there was less than this share of what it can do, in so many windows on end. */
const CALM_SHARE = 0.5;
const CALM_WINDOWS = 3;
/** What the engine is taken to manage at least: starts per second. */
const LEAST_PER_SECOND = 5;

/**
 * Decides who makes the attempts of webhooks in mode `auto`: the engine while it keeps up, the express lane from when
 * there has been more work than workflows could be started for, without a break, for `lagMs`. Back again only when there
 * has clearly been less for some seconds, so that it does not go to and fro. Each worker process decides for itself.
 */
export function createAutoMode({ lagMs, log, onTurn, nowMs = () => performance.now() }: AutoModeSettings) {
  let express = false;
  let behindSince: { atMs: number; started: number } | undefined;
  let perSecond = LEAST_PER_SECOND;
  let window = { atMs: 0, taken: 0 };
  let calm = 0;

  function turn(to: boolean): void {
    express = to;
    behindSince = undefined;
    calm = 0;
    window = { atMs: nowMs(), taken: 0 };
    const lane = to ? 'express' : 'workflow';
    log.info({ event: 'auto_mode', lane, engine_per_s: Math.round(perSecond) });
    onTurn?.(lane);
  }

  return {
    /** The modes of the webhooks that each lane serves now. */
    workflow: (): readonly FirstAttempt[] => (express ? ['workflow'] : ['workflow', 'auto']),
    express: (): readonly FirstAttempt[] => (express ? ['express', 'auto'] : ['express']),

    /** After each claim of the workflow lane: whether there was more than it could take, and its starts so far. */
    onWorkflowClaim(full: boolean, started: number): void {
      // Starts that fail or hang are no calm, however little is left for the express lane.
      if (express && full) calm = 0;
      if (express) return;
      if (!full) behindSince = undefined;
      else behindSince ??= { atMs: nowMs(), started };
      if (!behindSince) return;
      const behindMs = nowMs() - behindSince.atMs;
      if (behindMs < lagMs) return;
      perSecond = Math.max(LEAST_PER_SECOND, ((started - behindSince.started) * 1_000) / behindMs);
      turn(true);
    },

    /** After each claim of the express lane: what it took. */
    onExpressClaim(taken: number): void {
      if (!express) return;
      const passedMs = nowMs() - window.atMs;
      window.taken += taken;
      if (passedMs < WINDOW_MS) return;
      const rate = (window.taken * 1_000) / passedMs;
      calm = rate < perSecond * CALM_SHARE ? calm + 1 : 0;
      window = { atMs: nowMs(), taken: 0 };
      if (calm >= CALM_WINDOWS) turn(false);
    },
  };
}

export type AutoModeSettings = {
  lagMs: number;
  log: Log;
  /** Hears who makes the attempts from now on. */
  onTurn?: ((lane: DeliveryLane) => void) | undefined;
  nowMs?: () => number;
};
export type AutoMode = ReturnType<typeof createAutoMode>;
