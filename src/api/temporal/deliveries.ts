import type { Client } from '@temporalio/client';
import { workflowId } from '../../temporal/names';
import type { WorkflowStatus } from '../../workflows/contract';

/** A query without a live worker hangs until its deadline; the database answers after this long. */
const QUERY_LIMIT_MS = 1_000;
/** Only a process that stops waits for a signal to be sent. */
const SIGNAL_LIMIT_MS = 2_000;
/** Signals under way. While Temporal does not answer, no more are begun: a signal that is not sent delays a command and loses none. */
const MAX_SIGNALS = 1_000;

/** The signal that tells a delivery's workflow of an operator's command. */
export type OperatorSignal =
  /** Both commands are committed in Postgres before their signal is sent. */
  { name: 'cancel'; by: string; recorded: true } | { name: 'reschedule'; by: string; atMs: number; moves: number };

/** What the API does with the workflows of deliveries. */
export type DeliveryWorkflows = {
  /** Signals the delivery's workflow, if one runs. Best effort; returns at once. */
  signal(deliveryId: string, signal: OperatorSignal): void;
  /** The live status, or undefined on any error: the caller then answers from Postgres. */
  status(deliveryId: string): Promise<WorkflowStatus | undefined>;
  /** The page of the workflow in Temporal's web UI, if the installation has one. */
  uiUrl(deliveryId: string): string | undefined;
  temporalReachable(): Promise<boolean>;
  /** Resolves when all signals are sent or given up: the connection must stay open until then. */
  settled(): Promise<void>;
};

export function createDeliveryWorkflows(
  client: Client,
  namespace: string,
  uiUrl: string | undefined,
): DeliveryWorkflows {
  const underWay = new Set<Promise<void>>();
  return {
    signal(deliveryId, { name, ...details }) {
      if (underWay.size >= MAX_SIGNALS) return;
      const sent: Promise<void> = client
        .withDeadline(Date.now() + SIGNAL_LIMIT_MS, () =>
          client.workflow.getHandle(workflowId(deliveryId)).signal(name, details),
        )
        .catch(() => undefined)
        .finally(() => underWay.delete(sent));
      underWay.add(sent);
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

    async temporalReachable() {
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
