import { type buildConnector, Client, type Dispatcher } from 'undici';
import type { OwnTroubleReason } from '../domain/own-trouble';

/** The codes of a connection that did not come about in time, by how far it came. */
export type ConnectTimeoutCode = 'dns_timeout' | 'connect_timeout' | 'tls_timeout';

/** The other end of one connection slot. */
export interface Peer {
  /** Null until there is a connection (TCP); kept after it has failed in TLS. */
  remoteAddress: string | null;
  /** What it is called if the time runs out now; kept after a connection has failed. */
  timeoutCode: ConnectTimeoutCode;
  /** Whose request the slot was last given. */
  tenantId: string;
  /** Since when its lookup has waited for a permit (`performance.now()`); null if it does not wait. */
  waitsSinceMs: number | null;
  /** What it waits for then. */
  waitsFor: OwnTroubleReason;
  /** While a name is looked up: whether name servers answer anything. */
  answersCome: () => boolean;
  /** How long it has waited so for the request at hand, milliseconds. */
  waitedMs: number;
}

/** What `PeerClient` reads of a request and reports to it. Passed in the dispatch options. */
export interface PeerAware {
  readonly settled: boolean;
  readonly tenantId: string;
  /** It has a connection slot. */
  onPeer(peer: Peer): void;
}

export type PeerDispatchOptions = Dispatcher.DispatchOptions & { exchange?: PeerAware };

/** Makes the connection of a slot, and says in its `peer` how far it has come. */
export type Connector = (options: buildConnector.Options, callback: buildConnector.Callback, peer: Peer) => void;

/**
 * A connection slot of the pool that tells a request its peer's address, which undici does not, and the connector for
 * which request it connects. The connector is wrapped once per slot, so that it costs a request a few assignments (and,
 * unlike undici's diagnostics channels, says nothing about anyone else's requests).
 */
export class PeerClient extends Client {
  readonly #peer: Peer;

  constructor(url: URL, options: Client.Options, connector: Connector) {
    const peer: Peer = {
      remoteAddress: null,
      timeoutCode: 'connect_timeout',
      tenantId: '',
      waitsSinceMs: null,
      waitsFor: 'lookup_queue',
      answersCome: () => true,
      waitedMs: 0,
    };
    const connect: buildConnector.connector = (connectOptions, callback) => {
      peer.remoteAddress = null;
      connector(
        connectOptions,
        (...result) => {
          // Of a handshake that failed, the connector has said which address it was.
          if (result[1]) peer.remoteAddress = result[1].remoteAddress ?? null;
          callback(...result);
        },
        peer,
      );
    };
    super(url, { ...options, connect });
    this.#peer = peer;
  }

  override dispatch(options: PeerDispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { exchange } = options;
    if (exchange) {
      // It gave up while it waited for a connection: it must not be sent, nor cost this connection.
      if (exchange.settled) return true;
      this.#peer.tenantId = exchange.tenantId;
      this.#peer.waitedMs = 0;
      exchange.onPeer(this.#peer);
    }
    return super.dispatch(options, handler);
  }
}
