import type { Database } from '../db/database';
import {
  loadTenantRules,
  loadTypeRules,
  type TenantRules as StoredTenantRules,
  type TypeRules as StoredTypeRules,
} from '../db/publish-rules';
import { compileSchema, type DataValidator } from './data-validator';

/** A change made through another process counts here within this time, and a statement's. */
const KEEP_MS = 2_000;
const MAX_TENANTS = 1_000;
/** Of one tenant, within {@link KEEP_MS}. */
const MAX_TYPES = 1_000;
const MAX_VALIDATORS = 500;

export type TypeRules = Pick<StoredTypeRules, 'keyFields'> & { versionKnown: boolean; validate?: DataValidator };
export type TenantRules = StoredTenantRules & {
  /** Undefined where nobody has described this type. */
  ofType(type: string, version: string): Promise<TypeRules | undefined>;
};

/** What a publish must know beyond the event, kept for a moment so that publishing stays one statement. */
export type PublishRules = {
  of(tenantId: string): Promise<TenantRules>;
  /** After a change of the tenant's event types, filters or settings has been committed: it counts from now on. */
  forget(tenantId: string): void;
};

/** Validators outlive the moment: a version never changes, and compiling costs milliseconds. */
export function createPublishRules({ pool }: Pick<Database, 'pool'>): PublishRules {
  const tenants = new Map<string, { rules: Promise<TenantRules>; until: number }>();
  const validators = new Map<string, DataValidator>();

  return {
    of(tenantId) {
      const known = tenants.get(tenantId);
      if (known && known.until > performance.now()) return known.rules;
      const entry = { rules: load(tenantId), until: performance.now() + KEEP_MS };
      put(tenants, tenantId, entry, MAX_TENANTS);
      entry.rules.catch(() => {
        if (tenants.get(tenantId) === entry) tenants.delete(tenantId);
      });
      return entry.rules;
    },
    // A load that is under way may have read what was there before; nobody who comes later gets it.
    forget: (tenantId) => void tenants.delete(tenantId),
  };

  async function load(tenantId: string): Promise<TenantRules> {
    const types = new Map<string, Promise<TypeRules | undefined>>();
    return {
      ...(await loadTenantRules(pool, tenantId)),
      ofType(type, version) {
        const key = `${type} ${version}`;
        const known = types.get(key);
        if (known) return known;
        const loaded = loadTypeRules(pool, tenantId, type, version).then((stored) => stored && toTypeRules(stored));
        put(types, key, loaded, MAX_TYPES);
        loaded.catch(() => types.delete(key));
        return loaded;
      },
    };
  }

  function toTypeRules({ keyFields, version }: StoredTypeRules): TypeRules {
    const validate = version?.schema && validatorOf(version.id, version.schema);
    return { keyFields, versionKnown: version !== undefined, ...(validate && { validate }) };
  }

  function validatorOf(versionId: string, schema: object): DataValidator {
    const validate = validators.get(versionId) ?? compileSchema(schema);
    put(validators, versionId, validate, MAX_VALIDATORS);
    return validate;
  }
}

/** As the newest; the oldest goes where there are too many. */
function put<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key);
  if (map.size >= limit) map.delete(map.keys().next().value!);
  map.set(key, value);
}
