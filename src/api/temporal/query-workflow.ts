import type { Services } from '../services';

/**
 * Queries a running workflow. Undefined if it does not answer, or if the tenant has as many queries under way as it may.
 */
export async function queryWorkflow<T>(
  { workflowQueries }: Pick<Services, 'workflowQueries'>,
  tenantId: string,
  query: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const release = workflowQueries.take(tenantId);
  try {
    return release && (await query());
  } finally {
    release?.();
  }
}
