import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { workflowId } from '../domain/names';
import type { WorkflowStatus } from '../workflows/contract';
import { ApiError } from './errors';

/** A query without a live worker hangs until its deadline; the database answers after this long. */
const QUERY_LIMIT_MS = 1_000;
const SIGNAL_LIMIT_MS = 5_000;
const GRPC_NOT_FOUND = 5;

/** What a delivery's workflow is told of an operator's wish. */
export type OperatorSignal =
  /** Both stand in the record before they are sent. */
  { name: 'cancel'; by: string; recorded: true } | { name: 'reschedule'; by: string; atMs: number; moves: number };

/** The running side of deliveries, as far as the API needs it. */
export type Engine = {
  /**
   * Sends a signal. False where the delivery has no running workflow.
   * @throws ApiError engine_unavailable
   */
  signal(deliveryId: string, signal: OperatorSignal): Promise<boolean>;
  /** The live status, or undefined on any error: the caller then answers from Postgres. */
  status(deliveryId: string): Promise<WorkflowStatus | undefined>;
  /** Where a person sees the workflow, if the installation has a web UI. */
  uiUrl(deliveryId: string): string | undefined;
  reachable(): Promise<boolean>;
};

export function createEngine(client: Client, namespace: string, uiUrl: string | undefined): Engine {
  return {
    async signal(deliveryId, { name, ...details }) {
      try {
        await client.withDeadline(Date.now() + SIGNAL_LIMIT_MS, () =>
          client.workflow.getHandle(workflowId(deliveryId)).signal(name, details),
        );
        return true;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError || grpcCode(error) === GRPC_NOT_FOUND) return false;
        throw new ApiError('engine_unavailable', 'The workflow engine cannot be reached. Try again in a moment.');
      }
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
  };
}

function grpcCode(error: unknown): number | undefined {
  const { code, cause } = (error ?? {}) as { code?: number; cause?: { code?: number } };
  return code ?? cause?.code;
}
