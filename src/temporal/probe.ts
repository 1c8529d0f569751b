import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { reasonOf } from '../log';

/** An engine that takes longer to look one workflow up is none to give work to. */
const ASK_LIMIT_MS = 1_000;
/** There is none of this name: the engine has to look in its database to say so. */
const NO_WORKFLOW = 'posthorn-ask';

/**
 * Asks the engine for a workflow that does not exist: a start goes the same way, through frontend and history service to
 * the database. Resolves to undefined where the answer came in time, else to the reason; never rejects.
 */
export async function askEngine(client: Client): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  // The connection's own deadline is for each try, and it may try again.
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${ASK_LIMIT_MS} ms`), ASK_LIMIT_MS);
  });
  const answer = client
    .withDeadline(Date.now() + ASK_LIMIT_MS, () => client.workflow.getHandle(NO_WORKFLOW).describe())
    .then(
      () => undefined,
      (error: unknown) => (error instanceof WorkflowNotFoundError ? undefined : reasonOf(error)),
    );
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
