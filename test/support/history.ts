import type { Client } from '@temporalio/client';

/** What tests look at of a workflow's history. */
export type Told = {
  /** Every timer's length in milliseconds, in the order of their starts. */
  timersMs: number[];
  /** The signals' names, in the order of their arrival. */
  signals: string[];
};

/** Tells the history of a delivery's latest run. */
export async function told(client: Client, deliveryId: string): Promise<Told> {
  const { events } = await client.workflow.getHandle(deliveryId).fetchHistory();
  return {
    timersMs: (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
      timer
        ? [Number(timer.startToFireTimeout?.seconds ?? 0) * 1_000 + (timer.startToFireTimeout?.nanos ?? 0) / 1e6]
        : [],
    ),
    signals: (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName ?? []),
  };
}
