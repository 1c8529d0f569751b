import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { Pool as Connections } from 'undici';
import { openDatabase } from '../../../src/db/database';
import { ensureTenantKey, generateApiKey } from '../../../src/db/store/api-keys';
import { parsePublicId } from '../../../src/domain/ids';
import { nowMs } from '../../clock';
import type { Rig } from '../../rig';
import type { WebhookSettings } from '../../target';

/** Requests at once while something is set up. */
const CONNECTIONS = 32;
const LOOK_EVERY_MS = 100;
/** As long as the longest POST of a neighbour takes that nobody hurries. */
const QUIET_LIMIT_MS = 20_000;

/** A tenant beside the healthy one. */
export type Tenant = {
  /** Its uuid. */
  id: string;
  key: string;
  /** The answer's body. @throws where it is none of the good ones */
  call<T = unknown>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T>;
  /** So many webhooks that fail as often as they like; their public ids. */
  webhooks(count: number, settings: (n: number) => WebhookSettings): Promise<string[]>;
  /** Pauses or resumes these webhooks. */
  each(webhooks: readonly string[], what: 'pause' | 'resume'): Promise<void>;
  /** Resolves when no attempt of its is under way, or after a while. */
  untilQuiet(): Promise<void>;
  /** Of the installation's database, for what would take long to make by requests. */
  pool: Pool;
  close(): Promise<void>;
};

/** Nothing that an endpoint does ends these webhooks. */
const STUBBORN = { circuit_breaker: null, disable_after: null };

export async function createTenant(rig: Rig, name: string): Promise<Tenant> {
  const db = openDatabase({ url: rig.databaseUrl, poolSize: 2, applicationName: 'bench', planner: 'default' });
  const api = new Connections(rig.apiUrl, { connections: CONNECTIONS, pipelining: 1 });
  const key = generateApiKey('bench');
  const id = await ensureTenantKey(db.kysely, name, key);
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };

  async function call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const answer = await api.request({
      ...{ method, path: `/api/v1${path}`, headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path} was answered ${answer.statusCode}: ${text}`);
    return JSON.parse(text) as T;
  }

  const underWay = async () => {
    const { rows } = await db.pool.query<{ n: number }>(
      'select count(*)::int as n from delivery_queue where tenant_id = $1 and posting is not null',
      [id],
    );
    return rows[0]!.n;
  };
  return {
    ...{ id, key, call, pool: db.pool },
    webhooks: (count, settings) =>
      Promise.all(
        Array.from({ length: count }, async (_, n) => {
          const made = await call<{ id: string }>('POST', '/webhooks', { ...STUBBORN, ...settings(n) });
          return made.id;
        }),
      ),
    async each(webhooks, what) {
      await Promise.all(webhooks.map((webhook) => call('POST', `/webhooks/${webhook}/${what}`, {})));
    },
    async untilQuiet() {
      const deadline = nowMs() + QUIET_LIMIT_MS;
      while ((await underWay()) > 0 && nowMs() < deadline) await sleep(LOOK_EVERY_MS);
    },
    async close() {
      await api.close();
      await db.close();
    },
  };
}

/** The uuid of a webhook. */
export const uuidOf = (webhook: string): string => parsePublicId('webhook', webhook)!;
