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

/** What happened in a delivery's latest run, a line each: for the message of a test that failed. */
export async function story(client: Client, deliveryId: string): Promise<string[]> {
  const { events } = await client.workflow.getHandle(deliveryId).fetchHistory();
  return (events ?? []).map(({ eventTime, ...event }) => {
    const at = new Date(Number(eventTime?.seconds ?? 0) * 1_000 + (eventTime?.nanos ?? 0) / 1e6).toISOString();
    const [kind = '', details] =
      Object.entries(event).find(([key, value]) => key.endsWith('Attributes') && value) ?? [];
    const payloads = details as { input?: Payloads; result?: Payloads; signalName?: string } | undefined;
    const data = [...(payloads?.input?.payloads ?? []), ...(payloads?.result?.payloads ?? [])].map(({ data }) =>
      Buffer.from(data ?? []).toString('utf8'),
    );
    return [at, kind.replace('EventAttributes', ''), payloads?.signalName ?? '', ...data].join(' ');
  });
}

type Payloads = { payloads?: { data?: Uint8Array | null }[] | null } | null;
