import type { Probed, PublishProbe } from '../db/publish-probe';
import type { Log } from '../log';
import type { Engine } from './engine';
import type { Answer } from './route';

/** Below this, publishing would soon fail for want of a partition. */
const MIN_WEEKS_AHEAD = 2;
/** Everybody who asks within this time gets the same answer: asking more often asks nobody else. */
const SHARED_MS = 1_000;
/** What was well stays so until it has kept us waiting so many times in a row. Anything but waiting counts at once. */
const LATE_LOOKS = 2;

export type Readiness = { answer(): Promise<Answer> };

/** What was found; `why` not, in the words that the log and the answer use. */
type State = { why: string | undefined; err?: string; body: Record<string, unknown> };

/**
 * Ready means: publishing works. Temporal being away is shown, and does not make the API unready. At most one look is
 * under way, and the log says once when its outcome becomes another.
 */
export function createReadiness(probe: PublishProbe, engine: Pick<Engine, 'reachable'>, log: Log): Readiness {
  let answered: { answer: Answer; atMs: number } | undefined;
  let underWay: Promise<Answer> | undefined;
  let before: State | undefined;
  let lateLooks = 0;
  let temporalMissed = LATE_LOOKS;

  async function look(): Promise<Answer> {
    const [probed, reached] = await Promise.all([probe.look(), engine.reachable()]);
    temporalMissed = reached ? 0 : temporalMissed + 1;
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
      if (answered && performance.now() - answered.atMs < SHARED_MS) return answered.answer;
      underWay = look().finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
  };
}
