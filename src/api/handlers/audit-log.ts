import type { z } from 'zod';
import { listAudit } from '../../db/store/audit-log';
import { toPublicId } from '../../domain/ids';
import { toActorOut } from '../actor-out';
import { FEW_AT_ONCE, readPage } from '../page';
import type { Context, HandlerResult } from '../route';
import type { listAuditQuery } from '../schemas/audit-log';
import { windowBounds } from '../schemas/common';

type Query = z.output<typeof listAuditQuery>;

/** The tenant's own lines, and those of administrators about the tenant. */
export async function list({ services, tenantId, query, inSlices }: Context<undefined, Query>): Promise<HandlerResult> {
  const { limit, cursor, since, until, ...filter } = query;
  const bounds = windowBounds({ ...(since && { since }), ...(until && { until }) });
  const body = await readPage(
    'audit',
    { limit, cursor },
    {
      read: (part) => listAudit(services.db.kysely, tenantId, { ...bounds, ...filter, ...part }),
      toOut: (row) => ({
        id: toPublicId('audit', row.id),
        actor: toActorOut(row.actor),
        action: row.action,
        target: row.target,
        details: row.details,
        created_at: row.created_at,
      }),
      atOnce: FEW_AT_ONCE,
    },
    inSlices,
  );
  return { status: 200, body };
}
