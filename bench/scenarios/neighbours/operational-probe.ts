import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from '../../clock';
import { nextMark } from '../../mark';
import type { Rig } from '../../rig';
import type { Sent } from '../../steady';
import { type Tenant, uuidOf } from './tenant';

export const OPERATIONAL_PATH = '/operational';
const TYPE = 'posthorn.webhook.failing';
const EVERY_MS = 500;

const RAISE = `
insert into operational_outbox (tenant_id, type, webhook_id, details)
select tenant_id, $2, id, jsonb_build_object('mark', $3::text) from webhooks where id = $1`;

/** Operational events of the healthy tenant: one's poison or flood is to hold up nobody else's. */
export type Probe = { webhook: string; raise(round: string, seconds: number): Promise<Sent[]> };

export async function createProbe(rig: Rig, { pool }: Pick<Tenant, 'pool'>): Promise<Probe> {
  const webhook = await rig.receive(OPERATIONAL_PATH, TYPE);
  return {
    webhook,
    async raise(round, seconds) {
      const sent: Sent[] = [];
      const startMs = nowMs();
      for (let n = 0; n < (seconds * 1_000) / EVERY_MS; n++) {
        await sleep(Math.max(0, startMs + n * EVERY_MS - nowMs()));
        const one = { mark: nextMark(round), beganMs: nowMs() };
        await pool.query(RAISE, [uuidOf(webhook), TYPE, one.mark]);
        sent.push(one);
      }
      return sent;
    },
  };
}
