import type { Client } from '@temporalio/client';
import { workflowId } from '../../temporal/names';
import type { WorkflowStatus } from '../../workflows/contract';

/** A query without a live worker hangs until its deadline; the database answers after this long. */
const QUERY_LIMIT_MS = 1_000;
/** Nobody waits for it but a process that stops. */
const SIGNAL_LIMIT_MS = 2_000;

/** What a delivery's workflow is told of an operator's wish. */
export type OperatorSignal =
  /** Both stand in the record before they are sent. */
  { name: 'cancel'; by: string; recorded: true } | { name: 'reschedule'; by: string; atMs: number; moves: number };

/** The running side of deliveries, as far as the API needs it. */
export type Engine = {
  /** Tells the delivery's workflow, where one runs; best effort, returns at once. */
  tell(deliveryId: string, signal: OperatorSignal): void;
  /** The live status, or undefined on any error: the caller then answers from Postgres. */
  status(deliveryId: string): Promise<WorkflowStatus | undefined>;
  /** Where a person sees the workflow, if the installation has a web UI. */
  uiUrl(deliveryId: string): string | undefined;
  reachable(): Promise<boolean>;
  /** Waits for what is being told: its connection must stay open until then. */
  settled(): Promise<void>;
};

export function createEngine(client: Client, namespace: string, uiUrl: string | undefined): Engine {
  const underWay = new Set<Promise<void>>();
  return {
    tell(deliveryId, { name, ...details }) {
      const told: Promise<void> = client
        .withDeadline(Date.now() + SIGNAL_LIMIT_MS, () =>
          client.workflow.getHandle(workflowId(deliveryId)).signal(name, details),
        )
        .catch(() => undefined)
        .finally(() => underWay.delete(told));
      underWay.add(told);
    },

    async status(deliveryId) {
      try {
        return await client.withDeadline(Date.now() + QUERY_LIMIT_MS, () =>
          client.workflow.getHandle(workflowId(deliveryId)).query<WorkflowStatus>('status'),
        );
      } catch {
        return undefined;
      }
    },

    uiUrl: (deliveryId) =>
      uiUrl && `${uiUrl.replace(/\/$/, '')}/namespaces/${namespace}/workflows/${workflowId(deliveryId)}`,

    async reachable() {
      try {
        await client.withDeadline(Date.now() + QUERY_LIMIT_MS, () =>
          client.workflowService.describeNamespace({ namespace }),
        );
        return true;
      } catch {
        return false;
      }
    },

    settled: async () => void (await Promise.allSettled(underWay)),
  };
}
