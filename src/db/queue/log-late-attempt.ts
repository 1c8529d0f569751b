import type { Queryable } from '../database';
import { countInDelivery, countInQueue, endDelivered, lockQueueRow } from './log-late-attempt.sql';
import type { AttemptRecord } from './record-attempts';

/**
 * Records an attempt that was made all the same: it came after its delivery had ended, or another one was made under
 * its number (its worker was taken for dead and was not). It gets the next free number then, which is returned, and the
 * delivery counts it. May be repeated: `known` where it stands there. `in_flight` while another attempt is under way, whose
 * number must not be taken: try later.
 */
export async function logLateAttempt(db: Queryable, record: AttemptRecord): Promise<number | 'known' | 'in_flight'> {
  const { deliveryId, attemptId } = record;
  return db.transaction().execute(async (tx) => {
    const { rows } = await lockQueueRow(deliveryId).execute(tx);
    const queued = rows[0];
    const logged = await tx
      .selectFrom('attempts')
      .select(['id', 'number'])
      .where('delivery_id', '=', deliveryId)
      .execute();
    const own = logged.find(({ id }) => id === attemptId);
    if (own && queued && own.number <= queued.attempt) return 'known';
    if (queued?.in_flight) return 'in_flight';
    let last = logged.reduce((highest, { number }) => Math.max(highest, number), queued?.attempt ?? 0);
    if (!own) {
      last++;
      await tx.insertInto('attempts').values(toAttemptRow(record, last)).execute();
    }
    const isDelivered = record.next.kind === 'end' && record.next.state === 'delivered';
    if (isDelivered) await endDelivered(deliveryId, last).execute(tx);
    await countInQueue(deliveryId, last).execute(tx);
    await countInDelivery(deliveryId, last).execute(tx);
    return own ? 'known' : last;
  });
}

/** The row of `attempts` that keeps this attempt. */
export function toAttemptRow(record: AttemptRecord, number: number) {
  const { next } = record;
  return {
    id: record.attemptId,
    delivery_id: record.deliveryId,
    number,
    tenant_id: record.tenantId,
    webhook_id: record.webhookId,
    trigger: record.trigger,
    started_at: record.startedAt,
    duration_ms: record.durationMs,
    outcome: next.kind === 'end' ? next.state : 'retry',
    status_code: record.statusCode,
    error_code: record.errorCode,
    error_message: record.errorMessage,
    error_details: record.errorDetails && JSON.stringify(record.errorDetails),
    request_headers: JSON.stringify(record.requestHeaders),
    response_headers: record.responseHeaders && JSON.stringify(record.responseHeaders),
    response_body: record.responseBody,
    response_cut: record.responseCut,
    remote_address: record.remoteAddress,
    sent_as: record.sentAs && JSON.stringify(record.sentAs),
  };
}
