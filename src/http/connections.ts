import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createHeldBack } from './held-back';

/** What clients may hold of a server: by connection, by address and in all. */
export type ConnectionLimits = {
  /** Connections in all. */
  connections: number;
  /** Of these, from one address. */
  perAddress: number;
  /** Of these, such as have not carried a good API key yet, past their first moment: the oldest gives way to a new one. */
  anonymousPerAddress: number;
  /** How long an answer may take to be read to its end, milliseconds. */
  drainMs: number;
};

/**
 * A thousand producers with a few connections each; a quarter of them may sit behind one address. A client without a key
 * needs no more connections than a browser opens, and many such clients may sit behind one address as well.
 */
export const CONNECTION_LIMITS: ConnectionLimits = {
  connections: 4_096,
  perAddress: 1_024,
  anonymousPerAddress: 256,
  // As long as a request may take: 1 MiB at 35 kB/s.
  drainMs: 30_000,
};

/**
 * Requests of one connection that are served side by side; pipelined ones beyond it wait, unread bytes in the
 * kernel. A connection without a good key is served one request after the other: no browser pipelines, and a key is soon
 * looked up.
 */
const MAX_UNDER_WAY = 8;
const MAX_UNDER_WAY_OF_STRANGER = 1;
/** The next request of a connection is begun only while less than this of earlier answers is unread. */
const MAX_UNREAD_BYTES = 256 * 1024;
/**
 * Requests that wait, in all: 1.5 kB each. Node reads 64 KiB of a connection before it can be stopped, in which some 2,600
 * of the smallest requests fit; if one more does not fit, its connection is cut.
 */
const MAX_WAITING = 16_384;
/** Of a connection that has carried no good API key, at 10 µs each. One more, and it is cut. */
const MAX_WAITING_OF_STRANGER = 32;
/** The same, if its address has lately been over its limit of requests without a good key, or is held back. */
const MAX_WAITING_OF_SUSPECT = 4;
/** While its first key is being looked up, of such as have one too: a read holds some 600 of a producer's. And of a proxy. */
const MAX_WAITING_FOR_KEY = 1_024;
/** Limits on what is still read, and thrown away, of a body after its request was answered. */
const REST_OF_BODY_MS = 5_000;
const REST_OF_BODY_BYTES = 2 * 1024 * 1024;
/**
 * A connection that ends while more is coming has been read to where it ended: to close it at once would have the kernel
 * reset it (RFC 9112, section 9.6), and lose the last answers that the client has not read yet.
 */
const LAST_WORDS_MS = 2_000;
/** A connection of this age has had the time to show a key: many producers may come at the same moment. */
const FIRST_MOMENT_MS = 5_000;
/** How often slow readers are looked for. */
const LOOK_EVERY_MS = 1_000;

/** Why a connection was cut: a closed list, for counting. */
export const CUT_REASONS = [
  'full',
  'address_full',
  'gave_way',
  'queue_full',
  // Too many requests waited of a connection that had carried no good key.
  'pipelined',
  // Refused before anything was read: connections of its address were cut for that.
  'held_back',
  'unread_answer',
  'rest_of_body',
] as const;
export type CutReason = (typeof CUT_REASONS)[number];

/** What a server holds at this moment, and how many connections it has cut since its start. */
export type ConnectionCounts = {
  connections: number;
  requestsUnderWay: number;
  requestsWaiting: number;
  unreadBytes: number;
  cut: Record<CutReason, number>;
};

type Pair = { req: IncomingMessage; res: ServerResponse };

type Connection = {
  socket: Socket;
  /** Undefined: of a proxy that stands for many clients. */
  address: string | undefined;
  sinceMs: number;
  /** It has carried a good API key. */
  known: boolean;
  /** A request with a key was answered, which did not show it to be good. */
  judged: boolean;
  /** What follows from its first good key. */
  onKnown: () => void;
  onOverLimit: () => void;
  underWay: Set<ServerResponse>;
  waiting: Pair[];
  /** The answer that the client has to read next, and since when. */
  head?: { res: ServerResponse; sinceMs: number } | undefined;
  /** Since when nothing more is read of it, and its last answer is on its way. */
  endingSinceMs?: number;
  /** A request that was answered before its body had come to its end. */
  rest?: { req: IncomingMessage; sinceMs: number; bytesRead: number } | undefined;
};

const connectionOf = new WeakMap<Socket, Connection>();

/** Notes that a connection has carried a good API key: it no longer has to give way to new ones. */
export function vouchFor(socket: Socket): void {
  const connection = connectionOf.get(socket);
  if (!connection || connection.known) return;
  connection.known = true;
  connection.onKnown();
}

/** Notes that the address of a connection made more requests without a good API key than it may. */
export function noteOverLimit(socket: Socket): void {
  connectionOf.get(socket)?.onOverLimit();
}

/**
 * Keeps what clients hold of a server within bounds, whatever they send and however slowly they read. Node serves all
 * requests that it finds in a connection at once, and keeps their answers until they are read.
 *
 * @param exempt of an address that stands for many clients: it is bounded by the connections in all
 */
export function boundConnections(
  handler: RequestListener,
  limits: ConnectionLimits,
  exempt: (address: string) => boolean,
) {
  const connections = new Set<Connection>();
  /** In the order in which they came. */
  const byAddress = new Map<string, Set<Connection>>();
  const cuts = Object.fromEntries(CUT_REASONS.map((reason) => [reason, 0])) as Record<CutReason, number>;
  const addresses = createHeldBack();
  let waitingInAll = 0;
  const timer = setInterval(cutSlowOnes, Math.min(LOOK_EVERY_MS, limits.drainMs));
  timer.unref();

  /** A new connection. */
  function open(socket: Socket): void {
    const remote = socket.remoteAddress ?? '';
    const address = exempt(remote) ? undefined : remote;
    const heldBack = address !== undefined && addresses.is('held_back', address);
    if (heldBack && !addresses.admit(address)) {
      cuts.held_back++;
      socket.destroy();
      return;
    }
    const connection: Connection = {
      socket,
      address,
      sinceMs: performance.now(),
      known: false,
      judged: false,
      onKnown() {
        if (heldBack) addresses.refund(address);
        beginWaiting(connection);
      },
      onOverLimit() {
        if (address !== undefined) addresses.note('over_limit', address);
      },
      underWay: new Set(),
      waiting: [],
    };
    if (!admit(connection)) return;
    connectionOf.set(socket, connection);
    connections.add(connection);
    if (address !== undefined) {
      const others = byAddress.get(address) ?? new Set();
      byAddress.set(address, others.add(connection));
    }
    socket.once('close', () => close(connection));
    // Node goes on reading after each answer; while requests wait there is nothing to read for.
    socket.on('resume', () => {
      if (connection.waiting.length > 0 || connection.endingSinceMs !== undefined) socket.pause();
    });
    // What Node does after an answer that says that the connection ends.
    const destroySoon = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      const [answered] = connection.underWay;
      if (connection.waiting.length === 0 && answered?.req.complete !== false) destroySoon();
      else endGently(connection);
    };
  }

  function admit(connection: Connection): boolean {
    const others = connection.address === undefined ? undefined : byAddress.get(connection.address);
    if (others) {
      const anonymous = [...others].filter(({ known }) => !known);
      const old = connection.sinceMs - FIRST_MOMENT_MS;
      if (anonymous.length >= limits.anonymousPerAddress && anonymous[0]!.sinceMs < old) cut(anonymous[0]!, 'gave_way');
      else if (others.size >= limits.perAddress) return giveWay(anonymous[0], connection, 'address_full');
    }
    if (connections.size < limits.connections) return true;
    return giveWay([...connections].find(isStranger), connection, 'full');
  }

  /** Closes the oldest connection that has shown no key; if all have, the new one. */
  function giveWay(oldest: Connection | undefined, newest: Connection, reason: CutReason): boolean {
    if (oldest) cut(oldest, 'gave_way');
    else cut(newest, reason);
    return oldest !== undefined;
  }

  function cut(connection: Connection, reason: CutReason): void {
    cuts[reason]++;
    connection.socket.destroy();
    close(connection);
  }

  function endGently(connection: Connection): void {
    waitingInAll -= connection.waiting.length;
    connection.waiting = [];
    connection.endingSinceMs = performance.now();
    connection.socket.pause();
    connection.socket.end();
  }

  /** Called at once if it is cut, else when its socket has closed. */
  function close(connection: Connection): void {
    if (!connections.delete(connection)) return;
    waitingInAll -= connection.waiting.length;
    connection.waiting = [];
    // Node emits `close` on the answer that has the socket only; a wait for the end of another would never end.
    for (const res of connection.underWay) if (!res.socket && !res.writableFinished) res.emit('close');
    const { address } = connection;
    if (address === undefined) return;
    const others = byAddress.get(address)!;
    others.delete(connection);
    if (others.size === 0) byAddress.delete(address);
  }

  /** A new request. */
  function serve(req: IncomingMessage, res: ServerResponse): void {
    const connection = connectionOf.get(req.socket);
    if (!connection) return;
    // Other requests of the same read, after the connection was cut.
    if (!connections.has(connection) || connection.endingSinceMs !== undefined) {
      stopParsing(req.socket);
      return;
    }
    if (connection.waiting.length === 0 && mayBegin(connection)) {
      begin(connection, { req, res });
      return;
    }
    if (waitingInAll >= MAX_WAITING) {
      cut(connection, 'queue_full');
      stopParsing(req.socket);
      return;
    }
    if (connection.waiting.length >= mayWait(connection, req)) {
      cutForPipelining(connection);
      stopParsing(req.socket);
      return;
    }
    connection.waiting.push({ req, res });
    waitingInAll++;
    req.socket.pause();
  }

  /** How many requests of this connection may wait. */
  function mayWait({ known, judged, address, underWay }: Connection, req: IncomingMessage): number {
    if (known) return MAX_WAITING;
    if (address === undefined) return MAX_WAITING_FOR_KEY;
    const heldBack = addresses.is('held_back', address);
    const [first] = underWay;
    // A producer may send hundreds before its first key has been looked up.
    const lookedUp = judged || !first || first.writableEnded || !hasKey(first.req);
    if (hasKey(req) && !lookedUp) return heldBack ? MAX_WAITING_OF_STRANGER : MAX_WAITING_FOR_KEY;
    return heldBack || addresses.is('over_limit', address) ? MAX_WAITING_OF_SUSPECT : MAX_WAITING_OF_STRANGER;
  }

  function cutForPipelining(connection: Connection): void {
    if (connection.address !== undefined) addresses.note('held_back', connection.address);
    cut(connection, 'pipelined');
  }

  function begin(connection: Connection, { req, res }: Pair): void {
    connection.underWay.add(res);
    res.once('finish', () => {
      if (!req.complete) {
        connection.rest = { req, sinceMs: performance.now(), bytesRead: req.socket.bytesRead };
      }
    });
    res.once('close', () => {
      connection.underWay.delete(res);
      // A 5xx says nothing about the key.
      if (isStranger(connection) && hasKey(req) && res.statusCode < 500) {
        connection.judged = true;
        if (connection.waiting.length > MAX_WAITING_OF_STRANGER) cutForPipelining(connection);
      }
      beginWaiting(connection);
    });
    handler(req, res);
  }

  function beginWaiting(connection: Connection): void {
    if (connection.waiting.length === 0) return;
    while (connection.waiting.length > 0 && mayBegin(connection)) {
      waitingInAll--;
      begin(connection, connection.waiting.shift()!);
    }
    if (connection.waiting.length === 0) connection.socket.resume();
  }

  const mayBegin = (connection: Connection) =>
    connection.underWay.size < (isStranger(connection) ? MAX_UNDER_WAY_OF_STRANGER : MAX_UNDER_WAY) &&
    unreadBytes(connection) < MAX_UNREAD_BYTES;

  function cutSlowOnes(): void {
    const nowMs = performance.now();
    for (const connection of connections) {
      const { rest, socket, endingSinceMs } = connection;
      if (endingSinceMs !== undefined) {
        if (nowMs - endingSinceMs > LAST_WORDS_MS) socket.destroy();
        continue;
      }
      if (rest?.req.complete) connection.rest = undefined;
      else if (
        rest &&
        (nowMs - rest.sinceMs > REST_OF_BODY_MS || socket.bytesRead - rest.bytesRead > REST_OF_BODY_BYTES)
      ) {
        cut(connection, 'rest_of_body');
        continue;
      }
      // Answers are read in the order of their requests: only the first can be late.
      const [first] = connection.underWay;
      if (!first || !(first.writableEnded || first.writableLength > 0)) connection.head = undefined;
      else if (connection.head?.res !== first) connection.head = { res: first, sinceMs: nowMs };
      else if (nowMs - connection.head.sinceMs > limits.drainMs) cut(connection, 'unread_answer');
    }
  }

  function counts(): ConnectionCounts {
    const all = [...connections];
    return {
      connections: connections.size,
      requestsUnderWay: all.reduce((sum, { underWay }) => sum + underWay.size, 0),
      requestsWaiting: waitingInAll,
      unreadBytes: all.reduce((sum, connection) => sum + unreadBytes(connection), 0),
      cut: { ...cuts },
    };
  }

  return { open, serve, counts, stop: () => clearInterval(timer) };
}

/** Not of a proxy, whose connections carry many clients. */
const isStranger = ({ known, address }: Connection) => !known && address !== undefined;

const hasKey = (req: IncomingMessage) => req.headers.authorization !== undefined;

/**
 * Stops Node's parser for the rest of what was read of a socket, from within a request of it. Otherwise it parses all of
 * the read, even if the socket was destroyed: 2,600 requests, 10 ms and more. The parser stops if its callback returns 2,
 * which says that the connection is upgraded. The callback is not documented: in a version of Node without it, the rest
 * is parsed into requests that are not served.
 */
function stopParsing(socket: Socket): void {
  const { parser } = socket as { parser?: { onIncoming?: (req: IncomingMessage) => number } | null };
  if (!parser?.onIncoming) return;
  parser.onIncoming = (req) => {
    (req as { upgrade?: boolean }).upgrade = false;
    return 2;
  };
}

/** What was answered and not yet taken by the kernel: only one answer at a time has the socket, the others keep their own. */
function unreadBytes({ underWay }: Connection): number {
  let bytes = 0;
  for (const res of underWay) bytes += res.writableLength;
  return bytes;
}
