import { isIP } from 'node:net';
import { Agent, buildConnector, Pool } from 'undici';
import type { AddressPolicy } from './address-policy';
import { EgressError } from './errors';
import { createCheckedLookup, type Resolve } from './lookup';
import { type Connector, PeerClient } from './peer-client';

/** How long one address may take before the next one of the name is tried too (RFC 8305 5); Node's 250 ms is less than
 *  a slow round trip around the world. */
const NEXT_ADDRESS_AFTER_MS = 500;
/** Below the 5 s after which a Node server closes an idle connection, so that a POST rarely meets a closing one. */
const IDLE_CONNECTION_MS = 4_000;
/** Idle time a receiver may ask for by `Keep-Alive: timeout=`. */
const MAX_IDLE_CONNECTION_MS = 60_000;
/** A busy connection is renewed now and then, so that a host that moved to another address is followed. */
const REQUESTS_PER_CONNECTION = 1_000;
/** Of response headers; undici's and Node's own default, fixed here because a command line flag moves theirs. */
const MAX_HEADER_BYTES = 16 * 1024;

export interface EgressAgentSettings {
  policy: AddressPolicy;
  /** For DNS, TCP and TLS together. */
  connectTimeoutMs: number;
  /** For DNS alone. */
  dnsTimeoutMs: number;
  /** Open connections to one scheme, host and port; further requests to it wait. */
  maxConnectionsPerOrigin: number;
  /** Certificate authorities (PEM) to trust instead of Node's own. */
  certificateAuthorities?: string[];
  /** Instead of the system's resolver. */
  resolve?: Resolve;
}

/**
 * The undici agent for every delivery: keeps connections alive, speaks HTTP/1.1, and connects only where `policy`
 * allows. The check sits in the connector and judges the very addresses that are connected to, so neither a DNS answer
 * that changes nor a literal address in the URL gets around it. SNI and Host stay the name in the URL.
 */
export function createEgressAgent(settings: EgressAgentSettings): Agent {
  const { policy } = settings;
  const connect = buildConnector({
    lookup: createCheckedLookup({ policy, timeoutMs: settings.dnsTimeoutMs, resolve: settings.resolve }),
    timeout: settings.connectTimeoutMs,
    // Makes net.connect ask the lookup for all addresses, and try them in turn.
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
    ca: settings.certificateAuthorities,
  }) as Connector;
  const checkedConnect: Connector = (options, callback) => {
    // net.connect does not call the lookup for a literal address.
    const denyReason = isIP(options.hostname) === 0 ? undefined : policy.check(options.hostname);
    if (denyReason === undefined) return connect(options, callback);
    // Later, as from any connector: undici is still in the middle of the dispatch.
    queueMicrotask(() => callback(new EgressError('blocked_address', { denyReason }), null));
    return undefined;
  };
  return new Agent({
    connect: checkedConnect,
    connections: settings.maxConnectionsPerOrigin,
    factory: (origin, options) =>
      new Pool(origin, { ...options, factory: (url, clientOptions) => new PeerClient(url, clientOptions) }),
    keepAliveTimeout: IDLE_CONNECTION_MS,
    keepAliveMaxTimeout: MAX_IDLE_CONNECTION_MS,
    maxRequestsPerClient: REQUESTS_PER_CONNECTION,
    maxHeaderSize: MAX_HEADER_BYTES,
    // The exchange keeps one deadline over everything; a second clock in undici could only disagree with it.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}
