import { NIL_UUID } from '../../domain/ids';
import { PRIORITY_NAMES, type Priority } from '../../domain/priorities';

/** How far a pass has come in one priority. */
export type Cursor = {
  /** Tenants after this id come first. */
  tenant: string;
  /** Tenants that it has begun with and not gone through: their webhooks after this id are looked at. */
  webhooks: ReadonlyMap<string, string>;
  /** Those of them that it has gone through once: they are looked at again while it goes on with others. */
  passed: ReadonlySet<string>;
};
export type Cursors = Readonly<Record<Priority, Cursor>>;

export const FIRST_CURSOR = NIL_UUID;
const FIRST: Cursor = { tenant: FIRST_CURSOR, webhooks: new Map(), passed: new Set() };
export const FIRST_CURSORS: Cursors = { high: FIRST, normal: FIRST, low: FIRST };

/** Where a claim looks for work, and how far. */
export type Pass = {
  /** The priorities to serve, the one that goes first at the front, and how far each has come. */
  priorities: readonly Priority[];
  cursors: Cursors;
  /** How many webhooks with work to look at, per priority; shared out among the tenants, which are no more than that either. */
  scan: number;
  /** Rows to take at most, in all. */
  limit: number;
};

/** What a claim tells besides its deliveries. */
export type Progress = {
  nextCursors: Cursors;
  /** Priorities whose last tenant and webhook with work was looked at: there, the next claim begins anew. */
  through: readonly Priority[];
  /** There was more work than capacity, and another claim may take some of it. */
  full: boolean;
  /** Some tenant may have more work than there is capacity for it. */
  cut: boolean;
  /** When a webhook that is at its rate limit may be sent more, milliseconds from now. */
  waitMs: number | undefined;
};

/**
 * How far the claim came in a priority (`of_tenant` null): its last tenant, and the last one it took rows of as a tenant whose
 * work in this priority is its first. Or with a tenant in a priority: its last webhook, and the last one it took rows of.
 */
export type PriorityRow = {
  delivery_id: null;
  priority: number;
  of_tenant: string | null;
  scanned: number;
  /** As many as it would have looked at. */
  most: number;
  reached: string;
  served: string | null;
  /** Its capacity came to an end before its rows did. */
  cut: boolean;
  taken: number;
  wait_ms: number | null;
};

/** How far a claim came, from what it says of each priority that had any work. */
export function progress(pass: Pass, rows: PriorityRow[]): Progress {
  const [any] = rows;
  const taken = any?.taken ?? 0;
  const cut = rows.some((row) => row.cut);
  const full = taken === pass.limit || (cut && taken > 0);
  const webhooks = webhookCursors(pass, rows);
  const next = pass.priorities.map((priority) => {
    const row = rows.find((one) => one.of_tenant === null && PRIORITY_NAMES[one.priority] === priority);
    return [priority, nextCursor(pass.cursors[priority], row, full, webhooks.get(priority) ?? new Map())] as const;
  });
  return {
    nextCursors: { ...FIRST_CURSORS, ...Object.fromEntries(next.map(([priority, { cursor }]) => [priority, cursor])) },
    through: next.filter(([, { isThrough }]) => isThrough).map(([priority]) => priority),
    full,
    cut,
    waitMs: any?.wait_ms ?? undefined,
  };
}

type TenantCursor = { webhook: string; cut: boolean };

/**
 * Where to go on with the tenants that the claim was not done with, by priority. One whose capacity came to an end is served next
 * after its last webhook that was served, and priorities behind that one stay where they are. In every other priority it goes on
 * after the last webhook that was looked at; where no webhook with work comes after it, the tenant begins anew.
 */
function webhookCursors({ priorities, cursors }: Pass, rows: PriorityRow[]): Map<Priority, Map<string, TenantCursor>> {
  const byTenant = new Map<string, Map<Priority, PriorityRow>>();
  for (const row of rows) {
    if (row.of_tenant === null) continue;
    const own = byTenant.get(row.of_tenant) ?? new Map<Priority, PriorityRow>();
    byTenant.set(row.of_tenant, own.set(PRIORITY_NAMES[row.priority]!, row));
  }
  const next = new Map(priorities.map((priority) => [priority, new Map<string, TenantCursor>()]));
  for (const [tenant, own] of byTenant) {
    const cut = [...own.values()].some((row) => row.cut);
    const last = cut ? priorities.findLastIndex((priority) => own.get(priority)?.served) : priorities.length;
    for (const [i, priority] of priorities.entries()) {
      const row = own.get(priority);
      const before = cursors[priority].webhooks.get(tenant);
      const from = i > last ? before : i === last ? row!.served! : row?.reached;
      if (from === undefined) continue;
      // Behind the last webhook with work a claim would find nothing: round again.
      if (i <= last && row && row.scanned < row.most && from === row.reached) continue;
      next.get(priority)!.set(tenant, { webhook: from, cut });
    }
  }
  return next;
}

/** `row`: what the claim says of the priority, if it had any work. `begun`: the tenants that it was not done with. */
function nextCursor(
  before: Cursor,
  row: PriorityRow | undefined,
  full: boolean,
  begun: ReadonlyMap<string, TenantCursor>,
): { cursor: Cursor; isThrough: boolean } {
  if (!row) return { cursor: FIRST, isThrough: true };
  const sawAll = row.scanned < row.most;
  const looked = (tenant: string) => sawAll || isWithin(tenant, before.tenant, row.reached);
  const webhooks = new Map([...before.webhooks].filter(([tenant]) => !looked(tenant)));
  const passed = new Set(before.passed);
  for (const tenant of before.webhooks.keys()) if (looked(tenant) && !begun.has(tenant)) passed.add(tenant);
  for (const [tenant, { webhook }] of begun) webhooks.set(tenant, webhook);
  const tenant = full ? (row.served ?? before.tenant) : sawAll ? FIRST_CURSOR : row.reached;
  // A tenant that gets no capacity for now does not keep the pass from its end.
  const noRoom = row.taken === 0;
  const unfinished = [...webhooks.keys()].some((one) => !passed.has(one) && !(noRoom && begun.get(one)?.cut));
  const isThrough = !unfinished && (sawAll || tenant <= before.tenant);
  return {
    cursor: {
      // With one tenant alone there is none to come first.
      tenant: row.scanned === 1 && sawAll ? FIRST_CURSOR : tenant,
      webhooks: isThrough ? new Map([...webhooks].filter(([one]) => begun.get(one)?.cut)) : webhooks,
      passed: isThrough ? FIRST.passed : passed,
    },
    isThrough,
  };
}

/** Whether an id comes after `from` and not after `to`, where those after the last id are the first ones. */
function isWithin(id: string, from: string, to: string): boolean {
  return from < to ? id > from && id <= to : id > from || id <= to;
}
