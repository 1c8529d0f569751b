import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { reasonOf } from '../log';
import { withinLimit } from './within-limit';

/** If Temporal takes longer to look one workflow up, it counts as unavailable. */
const PROBE_LIMIT_MS = 1_000;
/** No workflow has this id: Temporal has to look in its database to say so. */
const NO_WORKFLOW = 'posthorn-ask';

/**
 * Asks Temporal for a workflow that does not exist: a start goes the same way, through frontend and history service to
 * the database. Resolves to undefined if the answer came in time, else to the reason; never rejects.
 */
export function probeTemporal(client: Client): Promise<string | undefined> {
  return withinLimit(client, PROBE_LIMIT_MS, () => client.workflow.getHandle(NO_WORKFLOW).describe()).then(
    () => undefined,
    (error: unknown) => (error instanceof WorkflowNotFoundError ? undefined : reasonOf(error)),
  );
}
