import { parsePublicId } from '../../src/domain/ids';
import type { Installation } from '../support/installation';
import type { Receiver } from '../support/receiver';
import { until } from '../support/until';
import { sql } from './support';

/** What tests look at of a replay. */
export type ReplayOut = {
  id: string;
  status: string;
  total: number | null;
  sent: number;
  skipped: number;
  source?: string;
  ended_at: string | null;
};

/** Hundreds of workflows take half a minute on a busy machine. */
const LIMIT_MS = 100_000;

/** Everything that was published in the last hour. */
export const SINCE = new Date(Date.now() - 3_600_000).toISOString();

/** Asks until the replay looks like this. */
export function untilReplay(
  { api }: Installation,
  id: string,
  what: string,
  is: (replay: ReplayOut) => boolean,
): Promise<ReplayOut> {
  const look = async () => {
    const replay = await api.ok<ReplayOut>('GET', `/replays/${id}`);
    return is(replay) && replay;
  };
  return until(`${id} to be ${what}`, look, LIMIT_MS);
}

/** The webhook-ids that arrived, sorted. */
export const arrived = ({ requests }: Receiver) => requests.map(({ headers }) => String(headers['webhook-id'])).sort();

/** Waits until nothing of the webhook is left in the queue: what was put into it has been sent. */
export function untilSent(posthorn: Installation, webhook: string): Promise<unknown> {
  const look = async () => {
    const rows = await sql(posthorn, 'select from delivery_queue where webhook_id = $1 limit 1', [
      parsePublicId('webhook', webhook),
    ]);
    return rows.length === 0;
  };
  return until('the queue to be empty', look, LIMIT_MS);
}
