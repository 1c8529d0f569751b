import type { Queryable } from '../db/database';
import { createTenant } from '../db/store/administration';
import { findTenant, listTenants, type Tenant } from '../db/store/tenants';
import { parsePublicId, toPublicId } from '../domain/ids';
import { escapeName, requireName } from '../domain/shown-names';
import { CLI_ACTOR, eachRow, withDatabase } from './with-database';

/** `posthorn tenants create <name>`: prints the id. */
export async function runCreateTenant(name: string): Promise<void> {
  requireName(name, "A tenant's name");
  await withDatabase(async (db) => {
    const tenant = await createTenant(db, name, CLI_ACTOR);
    if (!tenant) throw new Error('There is a tenant with this name already.');
    console.log(toPublicId('tenant', tenant.id));
  });
}

/** `posthorn tenants list`: id, time and name, newest first. */
export async function runListTenants(): Promise<void> {
  await withDatabase(async (db) => {
    for await (const tenant of eachRow((limit, beforeId) => listTenants(db, limit, beforeId))) {
      console.log(
        [toPublicId('tenant', tenant.id), tenant.createdAt.toISOString(), escapeName(tenant.name)].join('\t'),
      );
    }
  });
}

/** The tenant that a person means by an id or a name. */
export async function requireTenant(db: Queryable, idOrName: string): Promise<Tenant> {
  const id = parsePublicId('tenant', idOrName);
  const tenant = await findTenant(db, id ? { id } : { name: idOrName });
  if (!tenant) throw new Error('There is no tenant with this id or name.');
  return tenant;
}
