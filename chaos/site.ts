import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { processTree } from '../bench/cpu';
import { openDatabase } from '../src/db/database';
import { createApiKey, createTenant } from '../src/db/store/administration';
import type { DeliveryMode } from '../src/domain/delivery-mode';
import { toPublicId } from '../src/domain/ids';
import { temporaryDataDir } from '../src/embedded/folders';
import { freePort } from '../src/embedded/ports';
import { type HoldingProxy, startHoldingProxy } from '../test/support/holding-proxy';
import { type OwnPostgres, type OwnTemporal, startOwnPostgres, startOwnTemporal } from '../test/support/own-servers';
import type { Caller } from './client';
import { createRole, type Role } from './roles';
import { API_NAMES, type LinkName, ROLE_NAMES, type RoleName, type ServerName } from './schedule';

/** Two apis, two workers, a Postgres and a Temporal, with a proxy on every way between them and in front of the apis. */
export type Site = {
  postgres: OwnPostgres;
  temporal: OwnTemporal;
  roles: ReadonlyMap<RoleName, Role>;
  /** The proxies of a way; of `*>postgres` all of them. */
  links(name: LinkName): HoldingProxy[];
  /** In front of the apis, in the order of their names. */
  apiUrls: string[];
  /** One caller for each tenant, with all scopes. */
  callers: Caller[];
  folder: string;
  /** Processes of a server, its children included. */
  pidsOf(server: ServerName): number[];
  /** Ends everything that was started; `keepLogsIn` gets what they wrote. */
  end(keepLogsIn?: string): Promise<void>;
};

/** As in an installation that must not lose anything. */
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };
/** Above an attempt of the slowest endpoint: a process that is asked to end takes what it has in hand to its end. */
const SHUTDOWN_GRACE = '15s';

export type SiteOptions = {
  mode: DeliveryMode;
  tenants: number;
  say: (line: string) => void;
};

/** Starts everything. What was started is ended again where a later step fails. */
export async function startSite({ mode, tenants, say }: SiteOptions): Promise<Site> {
  const folder = temporaryDataDir();
  const ends: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const own = <T>(started: T, end: () => Promise<unknown>): T => {
    ends.push(end);
    return started;
  };
  const end = async (keepLogsIn?: string) => {
    // The folder of the logs was the first, so it goes last.
    const remove = ends.shift();
    for (const step of ends.splice(0).reverse()) {
      await step().catch((error: Error) => say(`while ending: ${error.message}`));
    }
    if (keepLogsIn) copyFiles(folder, keepLogsIn);
    await remove?.();
  };
  try {
    say('starting Postgres and Temporal');
    const postgres = await startOwnPostgres(DURABLE);
    own(postgres, () => postgres.remove());
    const temporal = await startOwnTemporal();
    own(temporal, () => temporal.remove());
    const ports = { postgres: Number(new URL(postgres.url).port), temporal: Number(temporal.address.split(':')[1]) };
    const proxies = new Map<LinkName, HoldingProxy>();
    const link = async (name: LinkName, port: number) => {
      const proxy = await startHoldingProxy(port);
      proxies.set(
        name,
        own(proxy, () => proxy.close()),
      );
      return proxy;
    };

    say('starting two apis and two workers');
    const common = {
      POSTHORN_DELIVERY_MODE: mode,
      POSTHORN_ENCRYPTION_KEYS: `chaos:${randomBytes(32).toString('base64')}`,
      POSTHORN_ALLOW_HTTP: 'true',
      POSTHORN_ALLOWED_CIDRS: '127.0.0.0/8',
      POSTHORN_SHUTDOWN_GRACE: SHUTDOWN_GRACE,
      POSTHORN_API_RATE_LIMIT: '1000000/1s',
      POSTHORN_DB_POOL_SIZE: '10',
      // What lost its workflow is found within the time in which a storm settles.
      POSTHORN_RECONCILE_EVERY: '5s',
      POSTHORN_RECONCILE_AFTER: '10s',
    };
    const roles = new Map<RoleName, Role>();
    const apiUrls: string[] = [];
    for (const [index, name] of ROLE_NAMES.entries()) {
      const database = new URL(postgres.url);
      database.port = String((await link(`${name}>postgres`, ports.postgres)).port);
      const engine = await link(`${name}>temporal`, ports.temporal);
      const env: Record<string, string> = {
        ...common,
        DATABASE_URL: database.href,
        TEMPORAL_ADDRESS: `127.0.0.1:${engine.port}`,
      };
      if (API_NAMES.some((api) => api === name)) {
        const port = await freePort();
        env.POSTHORN_PORT = String(port);
        apiUrls.push(`http://127.0.0.1:${(await link(`clients>${name}`, port)).port}`);
      }
      const role = createRole({ name, env, folder, index, say });
      roles.set(
        name,
        own(role, () => role.end()),
      );
    }
    await Promise.all([...roles.values()].map((role) => role.start()));
    return {
      ...{ postgres, temporal, roles, apiUrls, folder, end },
      callers: await makeCallers(postgres.url, tenants),
      links: (name) =>
        name.startsWith('*')
          ? ROLE_NAMES.map((role) => proxies.get(name.replace('*', role) as LinkName)!)
          : [proxies.get(name)!],
      pidsOf: (server) => processTree({ postgres, temporal }[server].pid),
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function makeCallers(databaseUrl: string, tenants: number): Promise<Caller[]> {
  const db = openDatabase({ url: databaseUrl, poolSize: 1, applicationName: 'chaos', planner: 'default' });
  try {
    const callers: Caller[] = [];
    for (let n = 1; n <= tenants; n++) {
      const tenant = (await createTenant(db.kysely, `chaos ${n}`, 'cli'))!;
      const { key, record } = await createApiKey(db.kysely, 'chaos', {
        owner: { kind: 'tenant', tenantId: tenant.id, scopes: ['publish', 'read', 'manage'] },
        ...{ name: 'storm', expiresInMs: null, createdBy: 'cli' },
      });
      callers.push({ tenantId: tenant.id, key, keyId: toPublicId('apiKey', record.id) });
    }
    return callers;
  } finally {
    await db.close();
  }
}

function copyFiles(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of existsSync(from) ? readdirSync(from) : []) {
    if (name.endsWith('.log')) copyFileSync(path.join(from, name), path.join(to, name));
  }
}
