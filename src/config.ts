import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseEncryptionKeys } from './crypto/secret-box';
import { keyWeakness } from './crypto/weak-key';
import { DELIVERY_MODES } from './domain/delivery-mode';
import { parseDurationMs } from './domain/durations';
import { parseUrl } from './domain/parse-url';
import { PRIORITY_NAMES } from './domain/priorities';
import { parseRateLimit, RATE_LIMIT_RULE } from './domain/rate-limit';
import { VERIFICATION_MODES } from './domain/verification';
import { createAddressPolicy } from './egress/address-policy';
import { parseEgressProxy } from './egress/proxy';
import { CONNECTION_LIMITS } from './http/connections';
import { OWN_WORDS, ruleInWords } from './in-words';

const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDurationMs(text);
      if (ms === undefined) context.addIssue('must be a duration such as 500ms, 30s, 5m, 2h or 90d');
      return ms ?? 0;
    });
/** A day at least, so that something can be looked up; at most what fits into a date. */
const [MIN_RETENTION_MS, MAX_RETENTION_MS] = [86_400_000, 36_500 * 86_400_000];
const retention = (fallback: string) =>
  duration(fallback).refine((ms) => ms >= MIN_RETENTION_MS && ms <= MAX_RETENTION_MS, 'must be from 1d to 36500d');
const count = (fallback: number, min = 1) => z.coerce.number().int().min(min).default(fallback);
const port = z.coerce.number().int().min(0).max(65_535);
const flagOrNot = z.enum(['true', 'false']).transform((text) => text === 'true');
const flag = flagOrNot.default(false);
const list = z
  .string()
  .default('')
  .transform((text) => text.split(',').flatMap((item) => item.trim() || []));
const priorities = z
  .string()
  .default(PRIORITY_NAMES.join(','))
  .transform((text) => text.split(',').map((name) => name.trim()))
  .pipe(z.array(z.enum(PRIORITY_NAMES)).min(1))
  .transform((names) => PRIORITY_NAMES.filter((priority) => names.includes(priority)));
const cidrs = list.superRefine((allowedCidrs, context) => {
  try {
    createAddressPolicy({ allowedCidrs });
  } catch {
    context.addIssue('must be address blocks such as 10.0.0.0/8 or fd00::/8, comma separated');
  }
});
/** Addresses, and blocks of them. */
const addresses = list.superRefine((given, context) => {
  try {
    createAddressPolicy({ allowedCidrs: given.map((text) => (isIP(text) === 0 ? text : `${text}/0`)) });
  } catch {
    context.addIssue('must be addresses or blocks such as 192.0.2.1 or 2001:db8::/64, comma separated');
  }
});
/** As `dns.Resolver.setServers` takes them. */
const nameServers = list.superRefine((given, context) => {
  try {
    new Resolver().setServers(given);
  } catch {
    context.addIssue('must be addresses such as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::1]:53, comma separated');
  }
});
/** Never repeated in a message: it may hold a password. */
const egressProxy = z.string().transform((text, context) => {
  const proxy = parseEgressProxy(text);
  if (proxy) return proxy;
  context.addIssue('must be the URL of a proxy, such as http://user:password@proxy.example:3128');
  return z.NEVER;
});
const rate = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .refine((text) => parseRateLimit(text) !== undefined, RATE_LIMIT_RULE);
const keyring = z.string().transform((text, context) => {
  try {
    const keys = parseEncryptionKeys(text);
    for (const [id, key] of keys) {
      const weakness = keyWeakness(key);
      if (weakness) context.addIssue(`the key "${id}" ${weakness}: make one with crypto.randomBytes(32)`);
    }
    return keys;
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
});
const bootstrapKey = z
  .string()
  .regex(/^ph_[a-z0-9]+_[A-Za-z0-9_-]{43}$/, {
    error: 'must be ph_<environment>_ and 43 characters of base64url (256 bits)',
    abort: true,
  })
  .superRefine((key, context) => {
    const weakness = keyWeakness(Buffer.from(key.slice(-43), 'base64url'));
    if (weakness) context.addIssue(`its random part ${weakness}: make it with crypto.randomBytes(32)`);
  });

/** Every setting, its default and what it is for. Read once, here, from the environment. */
const settings = z.object({
  /** Postgres to use. Without it, `posthorn dev` starts an embedded one; every other role needs it. */
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: 'must be a URL such as postgres://user@db.example.com:5432/posthorn' })
    .optional(),
  /** Connections per process. Postgres' default limit is 100 for all processes together. */
  POSTHORN_DB_POOL_SIZE: count(20, 2),

  /** host:port of a Temporal cluster. Without it, `posthorn dev` starts an embedded one. */
  TEMPORAL_ADDRESS: z.string().min(1).optional(),
  TEMPORAL_NAMESPACE: z.string().default('default'),
  /** Turns TLS on; it is on by itself with a certificate and key (mutual TLS) or an API key. */
  TEMPORAL_TLS: flagOrNot.optional(),
  TEMPORAL_TLS_CERT_FILE: z.string().optional(),
  TEMPORAL_TLS_KEY_FILE: z.string().optional(),
  TEMPORAL_API_KEY: z.string().optional(),
  /** Base URL of Temporal's web UI, for links in the API. */
  TEMPORAL_UI_URL: z
    .string()
    .refine((text) => parseUrl(text) !== undefined, 'must be a URL')
    .optional(),
  /** Name of the task queue; two installations in one namespace need different ones. */
  POSTHORN_TASK_QUEUE: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{1,100}$/, 'must be 1 to 100 letters, digits, dashes or underscores')
    .default('posthorn'),

  POSTHORN_HOST: z.string().default('127.0.0.1'),
  POSTHORN_PORT: port.default(8420),
  /** The host on which every process serves its metrics. They name no tenant, but they are for operators only. */
  POSTHORN_ADMIN_HOST: z.string().default('127.0.0.1'),
  /** The port of the metrics; 0 for a free one. Without it no metrics are served or counted. */
  POSTHORN_ADMIN_PORT: port.optional(),
  /** The first API key, of the tenant `default`: created at start if it does not exist. */
  POSTHORN_BOOTSTRAP_KEY: bootstrapKey.optional(),
  /** Keys that seal webhook secrets at rest: `<id>:<32 bytes in base64>`, comma separated, the first one seals. */
  POSTHORN_ENCRYPTION_KEYS: keyring.optional(),
  /** Webhooks that one tenant may have: each claim looks at each that has work, and each event makes a delivery for each. */
  POSTHORN_MAX_WEBHOOKS_PER_TENANT: count(10_000),
  /** Requests that one API key may make of one api process. */
  POSTHORN_API_RATE_LIMIT: rate('1000/1s'),
  /** Requests of one API key that one api process serves at once: a few hundred producers that wait for their answers. */
  POSTHORN_API_MAX_CONCURRENT_REQUESTS: count(256),
  /** Connections to one api process; each is a file, of which a process may often have 4,096 (the hard limit). */
  POSTHORN_MAX_CONNECTIONS: count(CONNECTION_LIMITS.connections, 16),
  /** Connections from one address that is not a trusted proxy. */
  POSTHORN_MAX_CONNECTIONS_PER_ADDRESS: count(CONNECTION_LIMITS.perAddress),
  /** Proxies in front of the api whose X-Forwarded-For and -Proto are trusted, as address blocks, comma separated. */
  POSTHORN_TRUSTED_PROXIES: cidrs,
  /** Strict-Transport-Security on every answer, if no trusted proxy says which ones go over TLS. */
  POSTHORN_HSTS: flag,
  /** Addresses and blocks that deliveries come from, for receivers with firewalls; only shown by the API, not used. */
  POSTHORN_SENDER_ADDRESSES: addresses,

  /** Also deliver to http URLs. For development. */
  POSTHORN_ALLOW_HTTP: flag,
  /** Address ranges that deliveries may reach although they are not public, comma separated. */
  POSTHORN_ALLOWED_CIDRS: cidrs,
  /** Address ranges that deliveries may not reach, also if they are public or allowed, comma separated. */
  POSTHORN_DENIED_CIDRS: cidrs,
  /** Also register and deliver to names without a dot, such as `postgres`, which only the machine's own network can resolve. */
  POSTHORN_ALLOW_SINGLE_LABEL_NAMES: flag,
  /** Accept webhook secrets that are too weak, with a warning. For development. */
  POSTHORN_ALLOW_WEAK_SECRETS: flag,
  /** Name servers for endpoints' host names, as addresses with or without a port. Without it, the system's. */
  POSTHORN_DNS_SERVERS: nameServers,
  /** An HTTP proxy that every connection to an endpoint goes through, by CONNECT. Without it, they are made directly. */
  POSTHORN_EGRESS_PROXY: egressProxy.optional(),
  /** Limit for establishing a connection to an endpoint, TLS included; the POST timeout counts as well. */
  POSTHORN_CONNECT_TIMEOUT: duration('5s'),
  /** Limit for looking up an endpoint's name, without the wait for its place in the fair queue. */
  POSTHORN_DNS_TIMEOUT: duration('5s'),
  /**
   * Connections to one host, per worker. Many webhooks, of several tenants, may share a host, and a few that hang must not
   * block the others. So this is more than all attempts that may be under way together: 2,170 with the reserves of the
   * three pools below. A webhook is bounded by its own cap, and a tenant by its share of the slots.
   */
  POSTHORN_CONNECTIONS_PER_HOST: count(4_096),
  /** The sender's name in a verification by OPTIONS: a host name of this installation. */
  POSTHORN_VERIFICATION_ORIGIN: z
    .string()
    .regex(/^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, 'must be a host name')
    .default('posthorn'),

  /** The least mode of endpoint verification, whatever a tenant's setting is: off, optional or required. */
  POSTHORN_MIN_ENDPOINT_VERIFICATION: z.enum(VERIFICATION_MODES).default('off'),

  /** Priorities whose deliveries this worker claims: high, normal, low. */
  POSTHORN_PRIORITIES: priorities,
  /**
   * First attempts of one tenant that one worker may have under way while no other tenant has work; a quarter more is
   * reserved for others (decision 33). 25 endpoints that never answer, each at its cap, do not use all of it.
   */
  POSTHORN_MAX_IN_FLIGHT: count(512),
  /** Attempts of one webhook that one worker may have under way; a webhook may ask for less. */
  POSTHORN_MAX_IN_FLIGHT_PER_WEBHOOK: count(20),
  /** The mode of webhooks that have none of their own: workflow, express or auto. */
  POSTHORN_DELIVERY_MODE: z.enum(DELIVERY_MODES).default('workflow'),
  /** The same for deliveries that the express path holds. 50 endpoints that never answer do not use all of it. */
  POSTHORN_EXPRESS_IN_FLIGHT: count(1_024),
  /** In mode auto: how long there must be more work than workflows can be started for until the express path takes over. */
  POSTHORN_AUTO_LAG: duration('500ms'),
  /** The same for later attempts; they have their own slots. */
  POSTHORN_MAX_RETRIES_IN_FLIGHT: count(200),
  /** Workflows kept in memory: about 0.3 MB each; one that was evicted costs a replay at its next step. */
  POSTHORN_MAX_CACHED_WORKFLOWS: count(500, 0),
  /** How fast a bulk replay puts deliveries back into the queue, unless it is asked for with a rate of its own. */
  POSTHORN_REPLAY_RATE: rate('100/1s'),
  /** Time between two searches for retries without a workflow. */
  POSTHORN_RECONCILE_EVERY: duration('30s'),
  /** A retry this late may have lost its workflow. */
  POSTHORN_RECONCILE_AFTER: duration('5m'),
  /** Retention of the audit log's lines. */
  POSTHORN_AUDIT_LOG_RETENTION: retention('365d'),
  /** Retention of a bulk replay after its end; the deliveries that it replayed are not touched. */
  POSTHORN_REPLAY_RETENTION: retention('90d'),
  /** How long a stopping worker waits for attempts under way; above the longest POST timeout of 30 s. */
  POSTHORN_SHUTDOWN_GRACE: duration('40s'),

  POSTHORN_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

/** Rules between settings. */
const schema = settings.superRefine((given, context) => {
  const pair = ['TEMPORAL_TLS_CERT_FILE', 'TEMPORAL_TLS_KEY_FILE'] as const;
  const missing = pair.filter((name) => given[name] === undefined);
  // Half of a pair would silently be no client certificate at all.
  if (missing.length === 1) context.addIssue({ code: 'custom', path: missing, message: 'must be set as well' });
  for (const name of ['TEMPORAL_API_KEY', pair[0]] as const) {
    if (given.TEMPORAL_TLS !== false || given[name] === undefined) continue;
    context.addIssue({ code: 'custom', path: ['TEMPORAL_TLS'], message: `must not be false beside ${name}` });
  }
});

export type Config = z.infer<typeof schema>;

/** The names of all settings. */
export const SETTING_NAMES: readonly string[] = Object.keys(settings.shape);

/** The settings are not usable; the message lists each one with what is wrong. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads the settings from an environment. Values are never repeated in the error: some are secrets.
 * @throws ConfigError
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  // An empty variable counts as not set: that is what `FOO= command` means to people.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = schema.safeParse(given, OWN_WORDS);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${ruleInWords(issue, schema, given)}`);
  throw new ConfigError(`These settings are not usable:\n${lines.join('\n')}`);
}

/** @throws ConfigError if a setting that this role needs is missing */
export function requireSetting<K extends keyof Config>(config: Config, name: K): NonNullable<Config[K]> {
  const value = config[name];
  if (value === undefined || value === null) throw new ConfigError(`${name} must be set for this command.`);
  return value;
}
