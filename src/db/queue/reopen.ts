import type { Trigger } from '../../domain/delivery';
import { PRIORITIES, type Priority } from '../../domain/priorities';
import type { Queryable } from '../database';
import { reopenStatement } from './reopen.sql';

export type Reopen = {
  tenantId: string;
  trigger: Trigger;
  /** The API key that asked. */
  askedBy: string | null;
  priority: Priority;
  /** The caller holds the row for so long, and makes the attempt itself. */
  leaseMs?: number;
  /** Text of a timestamp: a delivery that ended then or later is left alone. */
  endedBefore?: string;
};

/**
 * delivered | failed | cancelled ──▶ pending: starts ended deliveries anew with a fresh schedule; attempt numbers go
 * on. Leaves those alone that have not ended or whose webhook was deleted. Rows are locked in id order, so that two
 * who reopen the same deliveries cannot deadlock. Returns the ids of those that were reopened.
 */
export async function reopenEnded(db: Queryable, ids: readonly string[], how: Reopen): Promise<string[]> {
  if (ids.length === 0) return [];
  const { priority, ...rest } = how;
  const { rows } = await reopenStatement({ ids, ...rest, priority: PRIORITIES[priority] }).execute(db);
  return rows.map((row) => row.delivery_id);
}
