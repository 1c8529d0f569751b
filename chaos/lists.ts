import type { Caller, Client } from './client';
import type { Violation } from './evidence';
import type { Recorded } from './record';

/** Deliveries that are looked at one by one, as an operator would. */
const SAMPLE = 150;

export type ListsOptions = { client: Client; callers: readonly Caller[]; record: Recorded; random: () => number };

/** What the api shows agrees with the record: the list's state and count, and each attempt of some deliveries. */
export async function checkLists({ client, callers, record, random }: ListsOptions): Promise<Violation[]> {
  const violations: Violation[] = [];
  const wrong = (what: string, deliveryId?: string) =>
    violations.push({ check: 'list', what, ...(deliveryId && { deliveryId }) });
  const known = new Map(record.deliveries.map((delivery) => [delivery.id, delivery]));
  for (const caller of callers) {
    let seen = 0;
    let cursor: string | null = null;
    do {
      const path: string = `/deliveries?limit=200${cursor ? `&cursor=${cursor}` : ''}`;
      const { status, body } = await client.call(caller, 0, 'GET', path);
      if (status !== 200) {
        wrong(`GET ${path}: ${status}`);
        break;
      }
      for (const item of body.data as { id: string; status: string; attempt_count: number }[]) {
        seen += 1;
        const own = known.get(item.id);
        if (!own) wrong(`${item.id} is in the list of another tenant, or nowhere`);
        else if (own.state !== 'pending' && (own.state !== item.status || own.attemptCount !== item.attempt_count)) {
          wrong(
            `${item.id} is listed as ${item.status} with ${item.attempt_count} attempts, and is ${own.state} with ${own.attemptCount}`,
            item.id,
          );
        }
      }
      cursor = body.next_cursor;
    } while (cursor);
    const own = record.deliveries.filter(({ tenantId }) => tenantId === caller.tenantId);
    if (seen !== own.length) wrong(`the list has ${seen} deliveries, the record ${own.length}`);
    for (let i = 0; i < SAMPLE / callers.length && own.length > 0; i++) {
      const { id } = own[Math.floor(random() * own.length)]!;
      const { status, body } = await client.call(caller, 1, 'GET', `/deliveries/${id}`);
      const shown = ((body?.attempts ?? []) as { number: number; status_code: number | null }[]).map(
        (attempt) => `${attempt.number}:${attempt.status_code}`,
      );
      const recorded = record.attempts
        .filter(({ deliveryId }) => deliveryId === id)
        .map(({ number, statusCode }) => `${number}:${statusCode}`);
      if (status !== 200 || shown.join() !== recorded.join()) {
        wrong(`GET ${id}: ${status}, attempts ${shown.join()}, recorded ${recorded.join()}`, id);
      }
    }
  }
  return violations;
}
