import type { Database } from '../../db/database';
import {
  loadFilters,
  loadSchemas,
  loadTenantRules,
  loadTypeRules,
  type TenantRules as StoredTenantRules,
  type TypeRules as StoredTypeRules,
  type TypeAndVersion,
} from '../../db/publish/publish-rules';
import { createFilterSet, type Filtered, type FilterSet } from '../../domain/filter-set';
import { oneStep, type Steps } from '../../domain/work-budget';
import { createTimeSlices, type TimeSlices } from '../http/time-slices';
import { createValidator, type DataValidator } from './data-validator';

/** How long rules are cached: a change made by another process is seen within this time and that of a statement. */
const KEEP_MS = 2_000;
const MAX_TENANTS = 1_000;
/** Event types of one tenant that are cached, for {@link KEEP_MS}. */
const MAX_TYPES = 1_000;
/** Parts of schemas that are cached for one tenant, some 250 bytes each. A tenant with more evicts only its own. */
const MAX_TENANT_PARTS = 50_000;
/** The same for all tenants together; those that published longest ago are evicted. */
const MAX_PARTS = 500_000;

export type TypeRules = Pick<StoredTypeRules, 'keyFields'> & { versionKnown: boolean; validator?: DataValidator };
export type TenantRules = Omit<StoredTenantRules, 'filterVersions'> & {
  filtered: readonly Filtered[];
  filters: FilterSet;
  /** Each is undefined if the tenant has no such type. One statement loads all that are not cached. */
  ofTypes(asked: readonly TypeAndVersion[]): Promise<(TypeRules | undefined)[]>;
  ofType(type: string, version: string): Promise<TypeRules | undefined>;
};

/** The rules that a publish needs, cached for a moment so that a publish is one statement. */
export type PublishRules = {
  of(tenantId: string): Promise<TenantRules>;
  /** Called after a change of the tenant's event types, filters or settings was committed: it is seen from now on. */
  invalidate(tenantId: string): void;
};

/** Cached for longer: filters by their webhooks' versions, validators because a version of a type never changes. */
type Kept = {
  filters: { versions: string | null; filtered: readonly Filtered[]; set: FilterSet };
  validators: Map<string, DataValidator>;
  parts: number;
};

/** @param slices filters and validators are compiled in these time slices */
export function createPublishRules(
  { pool }: Pick<Database, 'pool'>,
  slices: TimeSlices = createTimeSlices(),
): PublishRules {
  const tenants = new Map<string, { rules: Promise<TenantRules>; until: number }>();
  const kept = new Map<string, Kept>();
  let parts = 0;

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
    // A load that is under way may have read the rules before the change; no later call gets its result.
    invalidate: (tenantId) => void tenants.delete(tenantId),
  };

  async function load(tenantId: string): Promise<TenantRules> {
    const { filterVersions, ...settings } = await loadTenantRules(pool, tenantId);
    const { filtered, set } = await filtersOf(tenantId, filterVersions);
    const types = new Map<string, Promise<TypeRules | undefined>>();
    const ofTypes: TenantRules['ofTypes'] = (asked) => {
      const found = new Map(asked.map((one) => [keyOf(one), types.get(keyOf(one))]));
      const missing = [...new Map(asked.map((one) => [keyOf(one), one])).values()].filter(
        (one) => !found.get(keyOf(one)),
      );
      if (missing.length > 0) {
        const loading = loadTypes(tenantId, missing);
        for (const [i, one] of missing.entries()) {
          const loaded = loading.then((all) => all[i]);
          found.set(keyOf(one), loaded);
          put(types, keyOf(one), loaded, MAX_TYPES);
          loaded.catch(() => types.delete(keyOf(one)));
        }
      }
      return Promise.all(asked.map((one) => found.get(keyOf(one))));
    };
    return {
      ...settings,
      filtered,
      filters: set,
      ofTypes,
      ofType: async (type, version) => (await ofTypes([{ type, version }]))[0],
    };
  }

  async function filtersOf(tenantId: string, versions: string | null): Promise<Kept['filters']> {
    const known = kept.get(tenantId)?.filters;
    if (known && known.versions === versions) return known;
    const filtered = versions === null ? [] : await loadFilters(pool, tenantId);
    const set = await slices.run(
      tenantId,
      oneStep(() => createFilterSet(filtered)),
    );
    // The filters may be newer than `versions`; then no later lookup matches these versions.
    const filters = { versions, filtered, set };
    keptOf(tenantId).filters = filters;
    return filters;
  }

  async function loadTypes(tenantId: string, asked: readonly TypeAndVersion[]): Promise<(TypeRules | undefined)[]> {
    const stored = await loadTypeRules(pool, tenantId, asked);
    const validators = await validatorsOf(
      tenantId,
      stored.flatMap((one) => (one?.version?.hasSchema ? [one.version.id] : [])),
    );
    return stored.map((one) => {
      if (!one) return undefined;
      const { keyFields, version } = one;
      const validator = version && validators.get(version.id);
      // The version may have been deleted between two statements.
      const versionKnown = version !== undefined && (validator !== undefined || !version.hasSchema);
      return { keyFields, versionKnown, ...(validator && { validator }) };
    });
  }

  async function validatorsOf(tenantId: string, ids: string[]): Promise<Map<string, DataValidator>> {
    const own = keptOf(tenantId).validators;
    const found = new Map(ids.flatMap((id) => (own.has(id) ? [[id, own.get(id)!] as const] : [])));
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length === 0) return found;
    const schemas = await loadSchemas(pool, tenantId, missing);
    await slices.run(tenantId, makeAll());
    return found;

    function* makeAll(): Steps<void> {
      for (const [id, schema] of schemas) {
        const validator = createValidator(schema);
        found.set(id, validator);
        keep(tenantId, id, validator);
        yield;
      }
    }
  }

  /** The tenant's entry, marked as used last. Entries used longest ago are evicted if there are too many. */
  function keptOf(tenantId: string): Kept {
    const own = kept.get(tenantId) ?? { filters: NO_FILTERS, validators: new Map(), parts: 0 };
    kept.delete(tenantId);
    kept.set(tenantId, own);
    for (const [id, oldest] of kept) {
      if (id === tenantId || (parts <= MAX_PARTS && kept.size <= MAX_TENANTS)) break;
      kept.delete(id);
      parts -= oldest.parts;
      oldest.parts = 0;
    }
    return own;
  }

  function keep(tenantId: string, id: string, validator: DataValidator): void {
    const own = keptOf(tenantId);
    if (own.validators.has(id)) return;
    add(id, validator, validator.parts);
    for (const [oldest, { parts: count }] of own.validators) {
      if (own.parts <= MAX_TENANT_PARTS) break;
      add(oldest, undefined, -count);
    }

    function add(key: string, value: DataValidator | undefined, count: number): void {
      if (value) own.validators.set(key, value);
      else own.validators.delete(key);
      own.parts += count;
      parts += count;
    }
  }
}

const NO_FILTERS: Kept['filters'] = { versions: null, filtered: [], set: createFilterSet([]) };

const keyOf = ({ type, version }: TypeAndVersion) => `${type} ${version}`;

/** Sets a key as the newest; evicts the oldest if there are too many. */
function put<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key);
  if (map.size >= limit) map.delete(map.keys().next().value!);
  map.set(key, value);
}
