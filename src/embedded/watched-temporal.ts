import { setTimeout as sleep } from 'node:timers/promises';
import { STOP_LIMIT_MS, settlesWithin } from './process';
import { type EmbeddedTemporal, startTemporal, type TemporalOptions } from './temporal';
import { checkTemporal, type TemporalState } from './temporal-check';

export type WatchSettings = {
  /** It is about to be restarted, and why. */
  onRestart: (why: string) => void;
  /** It works again, on the same port and data. */
  onRestarted: () => void;
  /** A restart did not succeed; the next one comes by itself. */
  onNotRestarted: (why: string) => void;
  /** Called with the result of each check. */
  onLook?: (state: TemporalState) => void;
  /** Time between looks, milliseconds. */
  everyMs?: number;
  /** Restart after checks have failed for this long, without a success. */
  patienceMs?: number;
};

export type WatchedTemporal = Pick<EmbeddedTemporal, 'address' | 'uiUrl'> & {
  /** Of the process that serves now. */
  readonly pid: number;
  stop(): Promise<void>;
};

const EVERY_MS = 5_000;
const PATIENCE_MS = 30_000;
/** A machine that was suspended between two looks has not failed for all of that time. */
const MIN_FAILURES = 3;
/** Each restart that did not help makes the next one wait twice as long; what fails then is not healed by it. */
const MAX_PATIENCE_MS = 10 * 60_000;
/** After a restart that did not succeed. */
const BACK_OFF_MS = 2_000;

/**
 * Starts an embedded Temporal and restarts it if it answers but takes no write any more, or has ended. On a
 * busy machine its SQLite may come to answer `interrupted` to every statement for ever, which only a restart heals.
 * A server without a file loses its workflows with that; the reconciler starts them again.
 */
export async function startWatchedTemporal(options: TemporalOptions, watch: WatchSettings): Promise<WatchedTemporal> {
  const { everyMs = EVERY_MS, patienceMs = PATIENCE_MS, onLook } = watch;
  let server = await startTemporal(options);
  const { address, uiUrl } = server;
  const port = Number(address.split(':').at(-1));
  const namespace = options.namespace ?? 'default';
  const stopping = new AbortController();

  const pause = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
  const stopped = () => stopping.signal.aborted;

  /** Resolves with the reason once a restart is due. */
  async function untilBroken(patience: number): Promise<{ why: string; worked: boolean } | undefined> {
    let failing: { sinceMs: number; times: number } | undefined;
    let worked = false;
    let ended: string | undefined;
    const exited = server.exited.then(({ code, signal }) => {
      ended = `it ended (${signal ?? `exit code ${code}`})`;
    });
    while (!stopped()) {
      await Promise.race([pause(everyMs), exited]);
      if (stopped()) return undefined;
      if (ended) return { why: ended, worked };
      const state = await checkTemporal(address, namespace);
      if (stopped()) return undefined;
      onLook?.(state);
      if (state.kind !== 'fails') failing = undefined;
      worked ||= state.kind === 'works';
      if (state.kind !== 'fails') continue;
      failing ??= { sinceMs: performance.now(), times: 0 };
      failing.times++;
      const failingMs = performance.now() - failing.sinceMs;
      if (failing.times < MIN_FAILURES || failingMs < patience) continue;
      return { why: `it has answered for ${Math.round(failingMs / 1000)} s and taken no write: ${state.why}`, worked };
    }
    return undefined;
  }

  async function restart(): Promise<void> {
    await server.stop();
    while (!stopped()) {
      try {
        server = await startTemporal({ ...options, port });
        return watch.onRestarted();
      } catch (error) {
        if (stopped()) return;
        watch.onNotRestarted((error as Error).message);
        await pause(BACK_OFF_MS);
      }
    }
  }

  async function loop(): Promise<void> {
    for (let patience = patienceMs; ; ) {
      const broken = await untilBroken(patience);
      if (!broken) return;
      patience = broken.worked ? patienceMs : Math.min(2 * patience, Math.max(MAX_PATIENCE_MS, patienceMs));
      watch.onRestart(broken.why);
      await restart();
      if (stopped()) return;
    }
  }

  const watching = loop();
  return {
    address,
    ...(uiUrl && { uiUrl }),
    get pid() {
      return server.pid;
    },
    async stop() {
      stopping.abort();
      await server.stop();
      // A restart may be under way: what it started is stopped as well, or by its guardian when this process ends.
      await settlesWithin(watching, STOP_LIMIT_MS);
      await server.stop();
    },
  };
}
