import type { Socket } from 'node:net';
import { type buildConnector, Client, type Dispatcher } from 'undici';
import type { OwnTroubleReason } from '../domain/own-trouble';
import { AnswerReader } from './answer-reader';

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
  /** Reads the answers of its connection; null while it is not connected. */
  answers: AnswerReader | null;
  /** The request at hand, until it has ended: what it holds is kept no longer. */
  exchange: PeerAware | null;
  /** Whether the request at hand is still wanted: for one that was given up, no connection is made. */
  isWanted: () => boolean;
  /** Ends what there is of a connection that is being made. */
  giveUpConnecting: () => void;
}

/** What `PeerClient` reads of a request and reports to it. Passed in the dispatch options. */
export interface PeerAware {
  readonly settled: boolean;
  /** It must not go out on a connection that was used before. */
  readonly wantsFreshConnection: boolean;
  readonly tenantId: string;
  /** It has a connection slot. */
  onPeer(peer: Peer): void;
}

export type PeerDispatchOptions = Dispatcher.DispatchOptions & { exchange?: PeerAware };

/** Makes the connection of a slot, and says in its `peer` how far it has come. */
export type Connector = (options: buildConnector.Options, callback: buildConnector.Callback, peer: Peer) => void;

/** Closes a connection. With this code undici takes the request off it, and makes no new connection unless one waits. */
class ConnectionClosed extends Error {
  readonly code = 'UND_ERR_SOCKET';
}

/**
 * A connection slot of the pool that tells a request its peer's address, which undici does not, and the connector for
 * which request it connects. The connector is wrapped once per slot, so that it costs a request a few assignments (and,
 * unlike undici's diagnostics channels, says nothing about anyone else's requests).
 *
 * Answers are read here and not by undici, which takes less than RFC 9112 obliges a client to: see {@link readAnswers}.
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
      answers: null,
      exchange: null,
      isWanted: () => peer.exchange !== null && !peer.exchange.settled,
      giveUpConnecting: () => undefined,
    };
    const connect: buildConnector.connector = (connectOptions, callback) => {
      peer.remoteAddress = null;
      peer.answers = null;
      connector(
        connectOptions,
        (...result) => {
          const [, socket] = result;
          peer.giveUpConnecting = () => undefined;
          // Of a handshake that failed, the connector has said which address it was.
          if (socket) {
            peer.remoteAddress = socket.remoteAddress ?? null;
            peer.answers = readAnswers(socket);
          }
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
      this.#peer.exchange = exchange;
      // undici makes a new one once this one is closed.
      if (exchange.wantsFreshConnection) this.#peer.answers?.kill();
      exchange.onPeer(this.#peer);
    }
    return super.dispatch(options, handler);
  }
}

/**
 * Puts a reader of answers between a connection and undici. undici reads by `read()` without a size, after `readable`; it
 * is given an empty answer once a real one was read whole, which says whether the connection is kept.
 */
function readAnswers(socket: Socket): AnswerReader {
  const answers = new AnswerReader({
    close: (why?: Error) => socket.destroy(why ?? new ConnectionClosed()),
    isWriting: () => socket.writableLength > 0,
  });
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  socket.read = (size?: number) => {
    if (size !== undefined) return read(size);
    for (;;) {
      const bytes = read();
      if (bytes === null) return null;
      const instead = answers.take(bytes);
      if (instead) return instead;
    }
  };
  // Before undici learns of it.
  socket.once('end', () => answers.end());
  return answers;
}
