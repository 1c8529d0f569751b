import type { DeliveryMode, DeliveryPath } from '../domain/delivery-mode';
import type { Log } from '../log';

/** Over this time the claimed deliveries are counted; then their rate decides. */
const WINDOW_MS = 1_000;
/** Back to workflows once less than this share of Temporal's start rate came, in this many consecutive windows. */
const CALM_SHARE = 0.5;
const CALM_WINDOWS = 3;
/** The start rate that Temporal is assumed to manage at least, per second. */
const MIN_PER_SECOND = 5;
/** If starts fail within this time of a way back, it came too early: the next one takes twice as many calm windows. */
const HELD_MS = 60_000;
const MAX_CALM_WINDOWS = 300;

/**
 * Decides which path makes the attempts of webhooks in mode `auto`: the workflow path while Temporal keeps up; the express
 * path once there has been more work than workflows could be started for, or starts failed, without a break, for `lagMs`.
 * Back again only when there has clearly been less for some seconds and Temporal answers, so that the mode does not
 * oscillate. Each worker process decides for itself.
 */
export function createAutoMode({ lagMs, log, ask, onSwitch, nowMs = () => performance.now() }: AutoModeSettings) {
  let express = false;
  let behindSince: { atMs: number; started: number } | undefined;
  let perSecond = MIN_PER_SECOND;
  let window = { atMs: 0, claimed: 0 };
  let calm = 0;
  let calmNeeded = CALM_WINDOWS;
  let backSinceMs = Number.NEGATIVE_INFINITY;
  let asking = false;
  let loggedWhyNot = false;

  function switchTo(toExpress: boolean, why: { because: string; err?: string | undefined }): void {
    express = toExpress;
    behindSince = undefined;
    calm = 0;
    window = { atMs: nowMs(), claimed: 0 };
    loggedWhyNot = false;
    const path = toExpress ? 'express' : 'workflow';
    const known = Number.isFinite(perSecond) && { workflow_starts_per_s: Math.round(perSecond) };
    log.info({ event: 'auto_mode', path, ...known, ...why });
    onSwitch?.(path);
  }

  function switchToExpress(started: number, behindMs: number, trouble: string | undefined): void {
    const failedSoon = trouble !== undefined && nowMs() - backSinceMs < HELD_MS;
    calmNeeded = failedSoon ? Math.min(2 * calmNeeded, MAX_CALM_WINDOWS) : CALM_WINDOWS;
    // What was started while starts failed says nothing about what Temporal can do.
    perSecond = trouble === undefined ? Math.max(MIN_PER_SECOND, (started * 1_000) / behindMs) : Infinity;
    switchTo(true, trouble === undefined ? { because: 'behind' } : { because: 'starts_fail', err: trouble });
  }

  /** Switches back if Temporal answers; else it is asked again after as many calm windows. */
  async function askAndReturn(): Promise<void> {
    asking = true;
    const whyNot = await ask();
    asking = false;
    if (!express) return;
    if (whyNot !== undefined) {
      calm = 0;
      if (!loggedWhyNot) log.warn({ event: 'auto_mode_stays', path: 'express', err: whyNot });
      loggedWhyNot = true;
    } else if (calm >= calmNeeded) {
      backSinceMs = nowMs();
      switchTo(false, { because: 'calm' });
    }
  }

  return {
    /** The modes of the webhooks that each path serves now. */
    workflow: (): readonly DeliveryMode[] => (express ? ['workflow'] : ['workflow', 'auto']),
    express: (): readonly DeliveryMode[] => (express ? ['express', 'auto'] : ['express']),

    /**
     * Called after each claim of the workflow path: whether there was more than it could take, its starts so far, and why
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
      if (behindMs >= lagMs) switchToExpress(started - behindSince.started, behindMs, trouble);
    },

    /** Called after each claim of the express path with the number of deliveries that it brought. */
    onExpressClaim(claimed: number): void {
      if (!express) return;
      const passedMs = nowMs() - window.atMs;
      window.claimed += claimed;
      if (passedMs < WINDOW_MS) return;
      const rate = (window.claimed * 1_000) / passedMs;
      calm = rate < perSecond * CALM_SHARE ? calm + 1 : 0;
      window = { atMs: nowMs(), claimed: 0 };
      if (calm >= calmNeeded && !asking) void askAndReturn();
    },
  };
}

export type AutoModeSettings = {
  lagMs: number;
  log: Log;
  /** Asks whether Temporal is available: undefined, or why it is not. Must not reject. */
  ask: () => Promise<string | undefined>;
  /** Called after each switch with the path that makes the attempts from now on. */
  onSwitch?: ((path: DeliveryPath) => void) | undefined;
  nowMs?: () => number;
};
export type AutoMode = ReturnType<typeof createAutoMode>;
