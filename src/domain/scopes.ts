/** What a key of a tenant may be allowed. */
export const TENANT_SCOPES = ['publish', 'read', 'manage'] as const;
export type TenantScope = (typeof TENANT_SCOPES)[number];

/** What routes ask for. `admin` is for tenants and keys; a key that has it has nothing else. */
export type Scope = TenantScope | 'admin';

export type KeyKind = 'tenant' | 'admin';

/** The part between `ph_` and the random part of a key: shows people where the key is good. */
export const KEY_ENVIRONMENT = /^[a-z0-9]{1,16}$/;
export const DEFAULT_KEY_ENVIRONMENT = 'live';
