import type { Client } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../domain/names';

const KEYWORD = 2; // temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
const GRPC_ALREADY_EXISTS = 6;
const LIMIT_MS = 10_000;

/** Registers the search attributes that starts use; a start that names an unknown one is refused. Idempotent. */
export async function registerSearchAttributes(client: Client, namespace: string): Promise<void> {
  const searchAttributes = Object.fromEntries(SEARCH_ATTRIBUTES.map((name) => [name, KEYWORD]));
  await client.connection.withDeadline(Date.now() + LIMIT_MS, async () => {
    try {
      await client.connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
    } catch (error) {
      if ((error as { code?: number }).code !== GRPC_ALREADY_EXISTS) throw error;
    }
  });
}
