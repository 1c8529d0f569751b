import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Pool } from 'pg';
import { parsePublicId } from '../../src/domain/ids';
import type { TestApi } from './api';
import { wake } from './temporal';
import type { Traffic } from './traffic';

/** Something an operator did, and was told `202` for unless the engine was too busy to answer: then it may be done. */
export type Deed = {
  acknowledged: boolean;
  kind: 'retry' | 'cancel' | 'reschedule';
  askedAt: number;
  answeredAt: number;
  /** Attempts that stood in the record before it was asked for. */
  recordedBefore: number;
  /** Of a reschedule: the new time. */
  at: number;
};

export type Operator = { api: TestApi; client: Client; pool: Pool; traffic: Traffic; random: () => number };

const DEEDS_EACH = 5;
/** A delivery that has ended sends nothing: the operator does not wait for ever. */
const PATIENCE_MS = 250;
const REFUSED = 409;
const BUSY = 503;

/** Does things to one delivery, one after the other, each at a moment of its own. Returns what was not refused. */
export async function meddle(operator: Operator, deliveryId: string): Promise<Deed[]> {
  const { api, client, random } = operator;
  const deeds: Deed[] = [];
  for (let i = 0; i < DEEDS_EACH; i++) {
    await moment(operator, deliveryId);
    const choice = random();
    if (choice < 0.2) {
      await wake(client, deliveryId);
      continue;
    }
    const kind = choice < 0.6 ? 'retry' : choice < 0.8 ? 'cancel' : 'reschedule';
    const recordedBefore = await countRecorded(operator.pool, deliveryId);
    const askedAt = Date.now();
    const at = askedAt + Math.round(50 + random() * 400);
    const body = kind === 'reschedule' ? { at: new Date(at).toISOString() } : undefined;
    const { status, body: answer } = await api.call('POST', `/deliveries/${deliveryId}/${kind}`, body);
    if (status === REFUSED) continue;
    if (status !== 202 && status !== BUSY) throw new Error(`${kind}: ${status} ${JSON.stringify(answer)}`);
    deeds.push({ acknowledged: status === 202, kind, askedAt, answeredAt: Date.now(), recordedBefore, at });
  }
  return deeds;
}

/** Any time, or as a POST arrives, or around its answer: when the record is written and a run may be closing. */
async function moment({ traffic, random }: Operator, deliveryId: string): Promise<void> {
  const choice = random();
  if (choice >= 0.3)
    await Promise.race([traffic.next(deliveryId, choice < 0.5 ? 'arrived' : 'answered'), sleep(PATIENCE_MS)]);
  await sleep(random() * (choice < 0.3 ? 150 : 20));
}

async function countRecorded(pool: Pool, deliveryId: string): Promise<number> {
  const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from attempts where delivery_id = $1', [
    parsePublicId('delivery', deliveryId),
  ]);
  return rows[0]!.n;
}
