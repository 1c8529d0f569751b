import { Agent, Pool } from 'undici';
import type { AddressPolicy } from './address-policy';
import { createConnector } from './connector';
import { EgressError } from './errors';
import { createCheckedResolve } from './lookup';
import { createLookups, type LookupLimits } from './lookups';
import { createNameServers } from './name-servers';
import { PeerClient } from './peer-client';
import type { EgressProxy } from './proxy';
import type { NameServers } from './types';

/** Below the 5 s after which a Node server closes an idle connection, so that a POST rarely meets a closing one. */
const IDLE_CONNECTION_MS = 4_000;
/** Idle time a receiver may ask for by `Keep-Alive: timeout=`. */
const MAX_IDLE_CONNECTION_MS = 60_000;
/** How much earlier than that we close: the way there and back, which is in that time as well. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
/** A busy connection is renewed now and then, so that a host that moved to another address is followed. */
const REQUESTS_PER_CONNECTION = 1_000;

export interface EgressAgentSettings {
  policy: AddressPolicy;
  /** For TCP and TLS together. */
  connectTimeoutMs: number;
  /** For DNS alone, from the moment the lookup begins. */
  dnsTimeoutMs: number;
  /** Open connections to one scheme, host and port; further requests to it wait. */
  maxConnectionsPerOrigin: number;
  /** Certificate authorities (PEM) to trust instead of Node's own. */
  certificateAuthorities?: string[];
  /** Through which every connection goes. */
  proxy?: EgressProxy | undefined;
  /** Name servers to ask instead of the system's. */
  dnsServers?: readonly string[];
  /** Instead of name servers. */
  nameServers?: NameServers;
  /** Instead of the usual ones. */
  lookupLimits?: LookupLimits;
}

/**
 * The undici agent for every delivery: keeps connections alive, speaks HTTP/1.1, and connects only where `policy`
 * allows: see {@link createConnector}.
 */
export function createEgressAgent(settings: EgressAgentSettings): Agent {
  const { policy, dnsTimeoutMs: timeoutMs, dnsServers: servers } = settings;
  const nameServers = settings.nameServers ?? createNameServers({ timeoutMs, servers });
  const lookups = createLookups({ nameServers, timeoutMs, limits: settings.lookupLimits });
  const connector = createConnector({
    policy,
    resolve: createCheckedResolve({ policy, lookups }),
    timeoutMs: settings.connectTimeoutMs,
    certificateAuthorities: settings.certificateAuthorities,
    proxy: settings.proxy,
  });
  return new Agent({
    // Every slot brings its own; one that did not would have no policy.
    connect: (_options, callback) => queueMicrotask(() => callback(new EgressError('blocked_address'), null)),
    connections: settings.maxConnectionsPerOrigin,
    factory: (origin, options) =>
      new Pool(origin, { ...options, factory: (url, clientOptions) => new PeerClient(url, clientOptions, connector) }),
    keepAliveTimeout: IDLE_CONNECTION_MS,
    keepAliveMaxTimeout: MAX_IDLE_CONNECTION_MS,
    keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
    maxRequestsPerClient: REQUESTS_PER_CONNECTION,
    // The exchange keeps one deadline over everything; a second clock in undici could only disagree with it.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}
