import { setTimeout as sleep } from 'node:timers/promises';
import type { Probed, PublishProbe } from '../../db/publish/publish-probe';
import type { Log } from '../../log';
import type { HandlerResult } from '../route';
import type { DeliveryWorkflows } from '../temporal/deliveries';

/** Below this, publishing would soon fail for want of a partition. */
const MIN_WEEKS_AHEAD = 2;
/** Between two looks: everybody who asks meanwhile shares an answer, and nobody else is asked more often. */
const SHARED_MS = 1_000;
/** Load balancers and kubelets give up after a second: until then they have an answer, late or not. */
const LOOK_LIMIT_MS = 900;
/** The first one has to connect, in a process that is busy starting; nobody was told yet that it is ready. */
const FIRST_LOOK_LIMIT_MS = 5_000;
/** Temporal decides nothing here, so nobody waits for it any longer. */
const TEMPORAL_LIMIT_MS = 500;
/** What was well stays so until it has kept us waiting so many times in a row. Anything but waiting counts at once. */
const LATE_LOOKS = 3;

export type Readiness = {
  answer(): Promise<HandlerResult>;
  /** Once nothing is asked any more: the client of Temporal throws where it is closed under a question. */
  settled(): Promise<void>;
};

/** What was found; `why` not, in the words that the log and the answer use. */
type State = { why: string | undefined; err?: string; body: Record<string, unknown> };

/**
 * Ready means: publishing works. Temporal being away is shown, and does not make the API unready. At most one look is
 * under way, and the log says once when its outcome becomes another.
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
      // Whoever hears that it is not ready hears what is so now: they wait for the next look together.
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
