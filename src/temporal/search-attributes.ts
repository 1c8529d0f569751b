import type { Client } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import type { Log } from '../log';

const KEYWORD = 2; // temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
const GRPC_ALREADY_EXISTS = 6;
/** Answers of a cluster that keeps this to its operators (7, permission denied; 12, unimplemented). */
const GRPC_NOT_OURS = new Set([7, 12]);
const LIMIT_MS = 10_000;
const NAMES = Object.values(SEARCH_ATTRIBUTES);

/**
 * Registers the search attributes that starts use; a start that names an unknown one is refused. Idempotent. A cluster
 * that refuses is taken to have them: docs/operations.md names them.
 */
export async function registerSearchAttributes(client: Client, namespace: string, log: Log): Promise<void> {
  const searchAttributes = Object.fromEntries(NAMES.map((name) => [name, KEYWORD]));
  await client.connection.withDeadline(Date.now() + LIMIT_MS, async () => {
    try {
      await client.connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
    } catch (error) {
      const { code = -1 } = error as { code?: number };
      if (GRPC_NOT_OURS.has(code)) log.warn({ event: 'search_attributes_not_registered', names: NAMES });
      else if (code !== GRPC_ALREADY_EXISTS) throw error;
    }
  });
}
