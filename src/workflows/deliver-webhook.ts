import {
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  patched,
  proxyActivities,
  proxyLocalActivities,
  setDefaultSignalHandler,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/activities';
import type { AttemptCause, AttemptRequest, AttemptResult } from '../delivery/types';
import { type DeliverInput, PosthornState, type WorkflowStatus } from './contract';

type Signals = {
  /**
   * An operator's retry: an attempt now, whatever the timer says; the schedule goes on from where it was. `anew`: asked
   * for after the delivery had ended, so that the attempt that ended it is not the answer. `claimed`: sent by the relay,
   * which has claimed a row that an operator put into the queue; the row says whether there is still something to send.
   */
  retryNow(request: { by: string; anew?: boolean; claimed?: boolean }): void;
  /** The same under its first name: runs may be waiting whose history has it. */
  replay: Signals['retryNow'];
  /**
   * `recorded`: Postgres has ended the delivery, or will with the attempt under way, and the run only has to end. Unless
   * the delivery was started anew before the signal came: signals may be late, and overtake each other.
   */
  cancel(request: { by: string; recorded?: boolean }): void;
  /** The next attempt has another time (Unix milliseconds). `moves`: it is in Postgres already, which counts reschedules. */
  reschedule(request: { atMs: number; by: string; moves?: number }): void;
  /** The relay has claimed this delivery's row: load it. */
  wake(): void;
  /** A worker reports the outcome of an attempt that was handed over. */
  attemptDone(outcome: { number: number; result: AttemptResult }): void;
};

export const statusQuery = defineQuery<WorkflowStatus>('status');

/**
 * First attempts and reschedules run inside the workflow task: no trip through the server. If the task is repeated, as
 * Temporal does when a signal arrives while a run closes, they are repeated as well. So a cancel is not among them: its
 * repetition would undo a retry that was asked for after it.
 */
const local = proxyLocalActivities<Pick<Activities, 'attemptFirst' | 'reschedule' | 'findStanding'>>({
  startToCloseTimeout: '8s',
  localRetryThreshold: '1s',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10s' },
});

/** In place of an attempt's result, if the delivery is to be cancelled first. */
const NOT_MADE = { kind: 'requeued' } as const;

export async function deliverWebhook(input: DeliverInput): Promise<AttemptResult['kind']> {
  const { deliveryId, webhookId, tenantId, retriesQueue, attemptTimeoutMs } = input;
  const remote = proxyActivities<Pick<Activities, 'attempt' | 'recordMade' | 'cancel'>>({
    taskQueue: retriesQueue,
    startToCloseTimeout: attemptTimeoutMs,
    heartbeatTimeout: '10s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s' },
  });

  // Signals are counted, not kept as flags: what was asked for is compared with what was served.
  const asked = { retry: 0, anew: 0, wake: 0, cancel: 0 };
  const served = { ...asked };
  const wanted = (what: keyof typeof asked) => asked[what] > served[what];
  let rescheduledToMs: number | undefined;
  /** Whether every cancel so far was recorded in Postgres by the api. */
  let onlyRecorded = true;
  /** Reschedules that this run knows of, and whether the last one is in Postgres already. */
  let moves = 0;
  let moveRecorded = false;
  const handedOver = new Map<number, AttemptResult>();

  let state: WorkflowStatus['state'] = 'in_progress';
  let attemptsMade = input.attempt;
  let cause: AttemptCause = input.cause;
  let dueAtMs = input.waitMs === undefined ? input.dueAtMs : Date.now() + input.waitMs;
  let last = input.last;
  let markedRetrying = false;

  const retryNow: Signals['retryNow'] = ({ anew, claimed }) => void asked[claimed ? 'wake' : anew ? 'anew' : 'retry']++;
  onSignals({
    retryNow,
    replay: retryNow,
    wake: () => void asked.wake++,
    cancel({ recorded } = { by: '' }) {
      asked.cancel++;
      if (!recorded) onlyRecorded = false;
      // A cancel ends what was asked for before it, not what is asked for afterwards.
      serveRetries();
      rescheduledToMs = undefined;
    },
    reschedule({ atMs, moves: recorded }) {
      // Postgres has the order: a signal that was overtaken by a later reschedule is dropped.
      if (recorded !== undefined && recorded <= moves) return;
      moves = recorded ?? moves;
      moveRecorded = recorded !== undefined;
      rescheduledToMs = atMs;
    },
    attemptDone: ({ number, result }) => void handedOver.set(number, result),
  });
  setHandler(statusQuery, () => ({
    state,
    attempts: attemptsMade,
    ...(state === 'retrying' && dueAtMs !== undefined && { nextAttemptAtMs: dueAtMs }),
    ...(last && { last }),
  }));

  if (dueAtMs !== undefined) cause = await nextCause();
  for (;;) {
    served.wake = asked.wake;
    // A retry that was asked for after a cancel is for the delivery that the cancel has ended.
    const anew = cause === 'manual' && (wanted('anew') || served.cancel > 0);
    if (cause === 'manual' && !wanted('cancel')) serveRetries();
    state = 'in_progress';
    const result = wanted('cancel') ? NOT_MADE : await attempt(attemptsMade + 1, cause, anew);
    if ('last' in result && result.last) {
      last = result.last;
      attemptsMade = last.number;
    }

    if (result.kind === 'retry') {
      attemptsMade = result.attempt;
      moves = Math.max(moves, result.moves ?? 0);
      if (result.claimed && !wanted('cancel')) {
        cause = 'claimed';
        continue;
      }
      if (!result.kept || dueAtMs === undefined) dueAtMs = Date.now() + result.waitMs;
    }
    const waits = result.kind === 'retry' || (result.kind === 'requeued' && rescheduledToMs !== undefined);
    if (waits && !wanted('cancel')) {
      cause = await nextCause();
      if (!wanted('cancel')) continue;
    }
    // A success meets every retry that was asked for while its attempt ran.
    if (result.kind === 'delivered') served.retry = asked.retry;
    let { kind } = result;
    if (kind === 'retry' || kind === 'requeued') {
      if (wanted('cancel')) {
        state = 'cancelled';
        served.cancel = asked.cancel;
        const found = await (onlyRecorded ? remote.cancel(deliveryId, true) : remote.cancel(deliveryId));
        // A first attempt may have been made in a workflow task that did not come through.
        attemptsMade = Math.max(attemptsMade, found.attempts);
        moves = found.kind === 'waits' ? found.moves : 0;
        // The cancel was for what has ended before: it came late, and the delivery was started anew since.
        if (found.kind === 'waits') {
          dueAtMs = Date.now() + found.waitMs;
          cause = await nextCause();
          continue;
        }
        // What the relay has claimed for this run it does not claim again for a while.
        if (found.kind === 'claimed') {
          cause = 'claimed';
          continue;
        }
        kind = found.kind === 'queued' ? 'requeued' : found.kind;
      }
    } else {
      // It has ended: too late for a cancel or a reschedule.
      served.cancel = asked.cancel;
      rescheduledToMs = undefined;
      moves = 0;
    }
    if (wanted('retry') || wanted('anew')) cause = 'manual';
    else if (wanted('wake') || wanted('cancel')) cause = 'claimed';
    else return kind;
  }

  function serveRetries(): void {
    served.retry = asked.retry;
    served.anew = asked.anew;
  }

  /** One attempt under its number, wherever it runs, until it is recorded. */
  async function attempt(number: number, why: AttemptCause, anew: boolean): Promise<AttemptResult> {
    const request: AttemptRequest = {
      ...{ deliveryId, number, cause: why },
      ...(tenantId && { tenantId }),
      ...(anew && { anew }),
      ...(why === 'due' && moves > 0 && { moves }),
    };
    let result =
      why === 'due' || number > 1 ? await remote.attempt(request) : await local.attemptFirst(request, webhookId);
    if (result.kind === 'in_flight') {
      await condition(() => handedOver.has(number), result.waitMs, { summary: `answer to attempt ${number}` });
      // No signal: the worker is dead. If it is not, the attempt's number keeps this from being a second POST.
      result = handedOver.get(number) ?? (await remote.attempt(request));
    }
    return result.kind === 'unrecorded' ? remote.recordMade(result.record) : result;
  }

  async function move(toMs: number): Promise<void> {
    rescheduledToMs = undefined;
    // The signal may have come late, when the delivery waits for another time, or was started anew: Postgres has its time.
    if (moveRecorded && patched('ask-for-rescheduled-time')) {
      const found = await local.findStanding(deliveryId);
      if (found.kind !== 'waits') return;
      dueAtMs = found.atMs === toMs ? toMs : Date.now() + found.waitMs;
      moves = found.moves;
    } else {
      dueAtMs = toMs;
      if (!moveRecorded) await local.reschedule(deliveryId, toMs);
    }
  }

  /** Waits for the timer or for a signal; returns the cause of the next attempt. */
  async function nextCause(): Promise<AttemptCause> {
    state = 'retrying';
    if (!markedRetrying) {
      upsertSearchAttributes([{ key: PosthornState, value: 'retrying' }]);
      markedRetrying = true;
    }
    for (;;) {
      if (rescheduledToMs !== undefined) {
        await move(rescheduledToMs);
        continue;
      }
      if (wanted('cancel') || wanted('retry') || wanted('anew')) return 'manual';
      if (wanted('wake')) return 'claimed';
      const waitMs = (dueAtMs ?? 0) - Date.now();
      if (waitMs <= 0) return 'due';
      if (workflowInfo().continueAsNewSuggested) {
        const { dueAtMs: _, waitMs: __, last: ___, ...same } = input;
        await continueAsNew<typeof deliverWebhook>({ ...same, attempt: attemptsMade, cause: 'claimed' });
      }
      await condition(
        () => wanted('cancel') || wanted('retry') || wanted('anew') || wanted('wake') || rescheduledToMs !== undefined,
        waitMs,
        { summary: `attempt ${attemptsMade + 1}` },
      );
    }
  }
}

/**
 * Handles signals in the order of their arrival. Those that came before the first workflow task are handed out as soon
 * as anything can take them: to the default handler all at once, to handlers by name in the order of these, and a
 * cancel must not overtake a retry.
 */
function onSignals(handlers: Signals): void {
  setDefaultSignalHandler((name, ...args) => {
    if (Object.hasOwn(handlers, name)) (handlers[name as keyof Signals] as (...args: unknown[]) => void)(...args);
  });
  for (const [name, handler] of Object.entries(handlers)) setHandler(defineSignal<never[]>(name), handler);
}
