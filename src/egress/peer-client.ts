import { type buildConnector, Client, type Dispatcher } from 'undici';

/** The other end of one connection slot; null while it is not connected. */
export interface Peer {
  remoteAddress: string | null;
}

/** What `PeerClient` asks and tells the request that is given to it. Travels in the dispatch options. */
export interface PeerAware {
  readonly settled: boolean;
  peer: Peer | null;
}

export type PeerDispatchOptions = Dispatcher.DispatchOptions & { exchange?: PeerAware };

/**
 * A connection slot of the pool that lets a request know whom it talks to, which undici does not tell. The connector is
 * wrapped once per slot, so that it costs a request one assignment (and, unlike undici's diagnostics channels, says
 * nothing about anyone else's requests).
 */
export class PeerClient extends Client {
  readonly #peer: Peer;

  constructor(url: URL, options: Client.Options) {
    const peer: Peer = { remoteAddress: null };
    const connect = options.connect as buildConnector.connector;
    super(url, {
      ...options,
      connect: (connectOptions, callback) => {
        peer.remoteAddress = null;
        connect(connectOptions, (...result) => {
          peer.remoteAddress = result[1]?.remoteAddress ?? null;
          callback(...result);
        });
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
