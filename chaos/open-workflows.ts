import { Client, Connection } from '@temporalio/client';

const CONNECT_LIMIT_MS = 5_000;

/** Ids of the workflows that run, as Temporal lists them; undefined while it does not answer. */
export async function openWorkflows(address: string): Promise<string[] | undefined> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: CONNECT_LIMIT_MS });
    try {
      const ids: string[] = [];
      const running = new Client({ connection }).workflow.list({ query: `ExecutionStatus = 'Running'` });
      for await (const { workflowId } of running) ids.push(workflowId);
      return ids;
    } finally {
      await connection.close();
    }
  } catch {
    return undefined;
  }
}
