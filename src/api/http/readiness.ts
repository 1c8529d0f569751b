import { setTimeout as sleep } from 'node:timers/promises';
import type { Probed, PublishProbe } from '../../db/publish/publish-probe';
import type { Log } from '../../log';
import type { HandlerResult } from '../route';
import type { DeliveryWorkflows } from '../temporal/deliveries';

/** With fewer weeks of partitions ahead, publishing would soon fail. */
const MIN_WEEKS_AHEAD = 2;
/** Time between two probes: all requests meanwhile share an answer, so Postgres and Temporal are not probed more often. */
const SHARED_MS = 1_000;
/** Load balancers and kubelets time out after a second: they get an answer before that. */
const LOOK_LIMIT_MS = 900;
/** The first probe has to connect while the process is busy starting; it has not answered "ready" yet. */
const FIRST_LOOK_LIMIT_MS = 5_000;
/** Temporal does not decide the status, so the answer waits for it no longer than this. */
const TEMPORAL_LIMIT_MS = 500;
/** Only so many timeouts in a row change the status from ready. Any other failure changes it at once. */
const LATE_LOOKS = 3;

export type Readiness = {
  answer(): Promise<HandlerResult>;
  /** Resolves when no probe is under way: Temporal's client throws if it is closed during a call. */
  settled(): Promise<void>;
};

/** The result of a probe; `why` is the reason for not ready, as the log and the answer name it. */
type State = { why: string | undefined; err?: string; body: Record<string, unknown> };

/**
 * Ready means that publishing works. If Temporal is unavailable the answer says so, but the API stays ready. At most one
 * probe is under way, and each change of its outcome is logged once.
 */
export function createReadiness(
  probe: PublishProbe,
  temporal: Pick<DeliveryWorkflows, 'temporalReachable'>,
  log: Log,
): Readiness {
  let answered: { answer: HandlerResult; atMs: number } | undefined;
  let underWay: Promise<HandlerResult> | undefined;
  let before: State | undefined;
  let lateLooks = 0;
  let temporalMissed = LATE_LOOKS;
  let askingTemporal: Promise<void> | undefined;

  async function look(): Promise<HandlerResult> {
    const [probed] = await Promise.all([
      probe.look(before ? LOOK_LIMIT_MS : FIRST_LOOK_LIMIT_MS),
      Promise.race([askTemporal(), sleep(TEMPORAL_LIMIT_MS)]),
    ]);
    lateLooks = probed.trouble === 'slow' ? lateLooks + 1 : 0;
    const state = judge(probed);
    tell(state);
    before = state;
    const answer = {
      status: state.why === undefined ? 200 : 503,
      body: {
        status: state.why === undefined ? 'ready' : 'not_ready',
        ...state.body,
        temporal: temporalMissed < LATE_LOOKS ? 'ok' : 'unreachable',
      },
    };
    answered = { answer, atMs: performance.now() };
    return answer;
  }

  function askTemporal(): Promise<void> {
    askingTemporal ??= temporal.temporalReachable().then((reached) => {
      temporalMissed = reached ? 0 : temporalMissed + 1;
      askingTemporal = undefined;
    });
    return askingTemporal;
  }

  function judge(probed: Probed): State {
    if (!probed.trouble) {
      const { weeksAhead } = probed;
      return {
        why: weeksAhead < MIN_WEEKS_AHEAD ? 'partitions' : undefined,
        body: { database: 'ok', partition_weeks_ahead: weeksAhead },
      };
    }
    const { trouble, err } = probed;
    if (trouble !== 'slow') return { why: trouble, err, body: { database: trouble } };
    const patient = before !== undefined && before.why === undefined && lateLooks < LATE_LOOKS;
    return patient
      ? { why: undefined, body: { database: 'slow' } }
      : { why: 'unreachable', err, body: { database: 'unreachable' } };
  }

  function tell({ why, err }: State): void {
    if (why === before?.why) return;
    if (why === undefined) log.info({ event: 'ready' });
    else log.warn({ event: 'not_ready', why, ...(err !== undefined && { err }) });
  }

  return {
    async answer() {
      if (underWay) return underWay;
      const freshMs = answered ? answered.atMs + SHARED_MS - performance.now() : 0;
      if (answered && freshMs > 0 && answered.answer.status === 200) return answered.answer;
      // "Not ready" is never answered from an old probe: these requests wait for the next one together.
      underWay = sleep(Math.max(0, freshMs))
        .then(look)
        .finally(() => {
          underWay = undefined;
        });
      return underWay;
    },
    async settled() {
      await underWay?.catch(() => undefined);
      await askingTemporal;
    },
  };
}
