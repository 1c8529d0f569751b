import { isIP, type Socket } from 'node:net';
import { type buildConnector, Client, type Dispatcher } from 'undici';

/** The codes of a connection that did not come about in time, by how far it came. */
export type ConnectTimeoutCode = 'dns_timeout' | 'connect_timeout' | 'tls_timeout';

/** The other end of one connection slot; null while it is not connected. */
export interface Peer {
  remoteAddress: string | null;
  /** What it is called if the time runs out now; kept after a connection has failed. */
  timeoutCode: ConnectTimeoutCode;
}

/** What `PeerClient` asks and tells the request that is given to it. Travels in the dispatch options. */
export interface PeerAware {
  readonly settled: boolean;
  peer: Peer | null;
}

export type PeerDispatchOptions = Dispatcher.DispatchOptions & { exchange?: PeerAware };

/** undici's connectors return the socket they connect, which its types leave out; one that refuses returns none. */
export type Connector = (options: buildConnector.Options, callback: buildConnector.Callback) => Socket | undefined;

/**
 * A connection slot of the pool that lets a request know whom it talks to, which undici does not tell. The connector is
 * wrapped once per slot, so that it costs a request one assignment (and, unlike undici's diagnostics channels, says
 * nothing about anyone else's requests).
 */
export class PeerClient extends Client {
  readonly #peer: Peer;

  constructor(url: URL, options: Client.Options) {
    const peer: Peer = { remoteAddress: null, timeoutCode: 'connect_timeout' };
    const connect = options.connect as Connector;
    super(url, {
      ...options,
      connect: (connectOptions, callback) => {
        peer.remoteAddress = null;
        const socket = connect(connectOptions, (...result) => {
          peer.remoteAddress = result[1]?.remoteAddress ?? null;
          callback(...result);
        });
        followPhases(peer, connectOptions, socket);
      },
    });
    this.#peer = peer;
  }

  override dispatch(options: PeerDispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { exchange } = options;
    if (exchange) {
      // It gave up while it waited for a connection: it must not be sent, nor cost this connection.
      if (exchange.settled) return true;
      exchange.peer = this.#peer;
    }
    return super.dispatch(options, handler);
  }
}

/** The phases are told apart here because undici has one time limit, and one error, for all of them. */
function followPhases(peer: Peer, { hostname, protocol }: buildConnector.Options, socket: Socket | undefined): void {
  peer.timeoutCode = isIP(hostname) === 0 ? 'dns_timeout' : 'connect_timeout';
  // Comes with the resolver's answer; after an error of the resolver it is that which counts.
  socket?.once('lookup', () => {
    peer.timeoutCode = 'connect_timeout';
  });
  if (protocol !== 'https:') return;
  socket?.once('connect', () => {
    peer.timeoutCode = 'tls_timeout';
  });
}
