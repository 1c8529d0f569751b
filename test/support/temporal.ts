import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';

/** A client of the run's Temporal dev server, beside the ones that Posthorn has. */
export async function connectTemporal(): Promise<{ client: Client; close(): Promise<void> }> {
  const connection = await Connection.connect({ address: process.env.POSTHORN_TEST_TEMPORAL_ADDRESS! });
  return { client: new Client({ connection }), close: () => connection.close() };
}

/** Sends `wake` as a relay does; false where no run is open. */
export async function wake(client: Client, deliveryId: string): Promise<boolean> {
  try {
    await client.workflow.getHandle(deliveryId).signal('wake');
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
