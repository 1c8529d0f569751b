import type { LookupAddress } from 'node:dns';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import type { AddressPolicy } from './address-policy';
import { EgressError } from './errors';
import type { CheckedResolve } from './lookup';
import type { Connector, Peer } from './peer-client';
import { createProxiedConnect } from './proxied-connect';
import type { EgressProxy } from './proxy';
import { keepRefusedCertificate, type RefusedCertificate, withCertificate } from './refused-certificate';

/** How long one address may take before the next one of the name is tried too (RFC 8305 5); Node's 250 ms is less than
 *  a slow round trip around the world. */
const NEXT_ADDRESS_AFTER_MS = 500;

export interface ConnectorSettings {
  policy: AddressPolicy;
  resolve: CheckedResolve;
  /** For TCP and TLS together. */
  timeoutMs: number;
  /** Certificate authorities (PEM) to trust instead of Node's own. */
  certificateAuthorities?: string[] | undefined;
  /** Goes between: it is asked for the addresses that were judged. */
  proxy?: EgressProxy | undefined;
}

/**
 * Connects where the policy allows, and only there: it judges the very addresses that are then connected to, so neither a
 * DNS answer that changes nor a literal address in the URL gets around it. SNI and Host stay the name in the URL, SNI
 * without a dot at its end.
 */
export function createConnector(settings: ConnectorSettings): Connector {
  const { policy, resolve, timeoutMs, certificateAuthorities, proxy } = settings;
  /** What was checked, for the connection that is being begun; set for no longer than the call of `connect`. */
  let checked: LookupAddress[] | undefined;
  const lookup: LookupFunction = (_hostname, _options, callback) => {
    const addresses = checked;
    // As from any lookup: net.connect is still in the middle of its work.
    process.nextTick(() => {
      if (addresses) callback(null, addresses);
      else callback(new EgressError('dns_failed'), []);
    });
  };
  const connect = buildConnector({
    lookup,
    timeout: timeoutMs,
    // Makes net.connect ask the lookup for all addresses, and try them in turn.
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
    ca: certificateAuthorities,
  }) as (options: buildConnector.Options, callback: buildConnector.Callback) => Socket;

  const connectByProxy =
    proxy && createProxiedConnect({ proxy, timeoutMs, certificateAuthorities, secure: connectSecurely });

  function connectSecurely(options: buildConnector.Options, callback: buildConnector.Callback): TLSSocket {
    const refused: RefusedCertificate = {};
    const onEnd: buildConnector.Callback = (...result) => callback(...withCertificate(result, refused));
    const socket = connect(withServerName(options), onEnd) as TLSSocket;
    keepRefusedCertificate(socket, refused);
    return socket;
  }

  function connectTo(addresses: LookupAddress[] | undefined, ...[options, callback, peer]: Parameters<Connector>) {
    if (connectByProxy) {
      const judged = addresses?.map(({ address }) => address) ?? [options.hostname];
      connectByProxy(judged, options, callback, peer);
      return;
    }
    peer.timeoutCode = 'connect_timeout';
    checked = addresses;
    try {
      if (options.protocol !== 'https:') {
        const plain = connect(options, callback);
        peer.giveUpConnecting = () => plain.destroy(new Error('given up'));
        return;
      }
      const socket = connectSecurely(options, callback);
      peer.giveUpConnecting = () => socket.destroy(new Error('given up'));
      socket.once('connect', () => {
        peer.timeoutCode = 'tls_timeout';
        peer.remoteAddress = socket.remoteAddress ?? null;
      });
    } catch (error) {
      // Thrown after a lookup, it would not be caught.
      queueMicrotask(() => callback(error as Error, null));
    } finally {
      checked = undefined;
    }
  }

  return (options, callback, peer) => {
    const { hostname } = options;
    if (isIP(hostname) !== 0) {
      const denyReason = policy.check(hostname);
      if (denyReason === undefined) connectTo(undefined, options, callback, peer);
      // Later, as from any connector: undici is still in the middle of the dispatch.
      else queueMicrotask(() => callback(new EgressError('blocked_address', { denyReason }), null));
      return;
    }
    peer.timeoutCode = 'dns_timeout';
    waitForTurn(peer);
    resolve(hostname, peer.tenantId, (answersCome) => {
      endOfWait(peer);
      peer.answersCome = answersCome;
    }).then(
      (addresses) => {
        if (peer.isWanted()) connectTo(addresses, options, callback, peer);
        else callback(new Error('given up'), null);
      },
      (error: Error) => {
        endOfWait(peer);
        callback(error, null);
      },
    );
  };
}

/** TLS is told the name without the dot that it may end in (RFC 6066 3); Host keeps it (RFC 9110 7.2). */
function withServerName(options: buildConnector.Options): buildConnector.Options {
  const { hostname } = options;
  return hostname.endsWith('.') ? { ...options, servername: hostname.slice(0, -1) } : options;
}

function waitForTurn(peer: Peer): void {
  peer.waitsSinceMs = performance.now();
}

function endOfWait(peer: Peer): void {
  if (peer.waitsSinceMs === null) return;
  peer.waitedMs += performance.now() - peer.waitsSinceMs;
  peer.waitsSinceMs = null;
}
