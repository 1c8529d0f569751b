import type { Kysely } from 'kysely';
import type { Tables } from './tables';

/** A delivery has few attempts; one replayed by hand again and again shows its newest. */
const MAX_ATTEMPTS_SHOWN = 100;

/** The attempts of one delivery, oldest first (the newest {@link MAX_ATTEMPTS_SHOWN}). */
export async function listAttempts(db: Kysely<Tables>, tenantId: string, deliveryId: string) {
  const rows = await db
    .selectFrom('attempts')
    .selectAll()
    .where('delivery_id', '=', deliveryId)
    .where('tenant_id', '=', tenantId)
    .orderBy('number', 'desc')
    .limit(MAX_ATTEMPTS_SHOWN)
    .execute();
  return rows.reverse();
}

export type Attempt = Awaited<ReturnType<typeof listAttempts>>[number];
