import { type AnswerHead, BROKEN_RULES, type BrokenRule, parseHead } from './answer-head';
import { ChunkedDecoder } from './chunked';
import { EgressError } from './errors';

const LF = 10;
const CR = 13;
/** Of one status line with its headers. */
const MAX_HEAD_BYTES = 16 * 1024;
/** 1xx answers before the real one; servers send one or two. */
const MAX_INTERIM = 32;
const STATUS_LINE_START = Buffer.from('HTTP/1.');

/** What an {@link AnswerReader} reports of the answer to one request. */
export interface AnswerTaker {
  /** The status line and headers of the final answer. */
  onAnswer(statusCode: number, headers: Record<string, string>): void;
  /** Some of its body; a view of what was read. */
  onAnswerBody(data: Buffer): void;
  /** The whole answer was read. */
  onAnswerEnd(): void;
  /** The body breaks the rules of its framing. */
  onBodyBroken(): void;
  /** The answer is refused. @param rule which rule it breaks, as a part of a sentence */
  onRefused(code: 'invalid_response' | 'headers_too_large', rule?: string): void;
}

/** What undici, which keeps the connections, is given to read in place of each answer, once that was read. */
const KEEP = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
const CLOSE = Buffer.from('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
const KEEP_FOR = new Map<number, Buffer>();

/** There are some thousand different ones at most. */
function keepFor(seconds: number): Buffer {
  let bytes = KEEP_FOR.get(seconds);
  if (!bytes) {
    bytes = Buffer.from(`HTTP/1.1 200 OK\r\nkeep-alive: timeout=${seconds}\r\ncontent-length: 0\r\n\r\n`);
    KEEP_FOR.set(seconds, bytes);
  }
  return bytes;
}

/**
 * Reads the answers of one connection, each to the request that was written last, by RFC 9112: interim ones, status and
 * headers, the body, and what follows from it for the connection.
 */
export class AnswerReader {
  /** Whether anything of the answer to the request at hand has come. */
  begun = false;
  /** Answers that were read whole. */
  answered = 0;

  #taker: AnswerTaker | undefined;
  #state: 'idle' | 'head' | 'body' | 'dead' = 'idle';
  #interim = 0;
  /** Of a head that has come in part. */
  #held: Buffer | undefined;
  /** Up to where the end of the head was looked for. */
  #searched = 0;
  #head: AnswerHead | undefined;
  #left = 0;
  #chunked: ChunkedDecoder | undefined;

  /**
   * @param connection `close` closes it at once; `isWriting` tells whether a part of the request is yet to be written
   */
  constructor(private readonly connection: { close(why?: Error): void; isWriting(): boolean }) {}

  /** A request is about to be written: what comes from now on is its answer. */
  expect(taker: AnswerTaker): void {
    this.#taker = taker;
    this.#state = 'head';
    this.begun = false;
    this.#interim = 0;
    this.#held = undefined;
    this.#searched = 0;
  }

  /** Closes the connection; what still comes is not read. */
  kill(why?: Error): void {
    this.#state = 'dead';
    this.#taker = undefined;
    this.#held = undefined;
    this.connection.close(why);
  }

  /** What the other side sent. @returns what undici is to read instead, if anything */
  take(bytes: Buffer): Buffer | undefined {
    switch (this.#state) {
      case 'head':
        return this.#takeHead(bytes);
      case 'body':
        return this.#takeBody(bytes);
      case 'idle':
        // Empty lines may be dropped; an answer that nobody asked for ends the connection (RFC 9112 9.2).
        if (skipLineEnds(bytes) < bytes.length)
          this.kill(this.answered === 0 ? new EgressError('invalid_response') : undefined);
        return undefined;
      case 'dead':
        return undefined;
    }
  }

  /** The other side will send nothing more. */
  end(): void {
    if (this.#state !== 'body' || this.#head?.framing.kind !== 'close') return;
    this.#state = 'dead';
    this.#taker?.onAnswerEnd();
  }

  #takeHead(more: Buffer): Buffer | undefined {
    let bytes = this.#held ? Buffer.concat([this.#held, more]) : more;
    for (;;) {
      const skipped = skipLineEnds(bytes);
      if (skipped > 0) bytes = bytes.subarray(skipped);
      this.#held = bytes.length > 0 ? bytes : undefined;
      if (bytes.length === 0) return undefined;
      this.begun = true;
      if (!beginsLikeStatusLine(bytes)) return this.#refuse('status_line');
      const end = this.#endOfHead(bytes);
      if ((end ?? bytes.length) > MAX_HEAD_BYTES) {
        this.#taker?.onRefused('headers_too_large');
        this.kill();
        return undefined;
      }
      if (end === undefined) return undefined;
      this.#searched = 0;
      const head = parseHead(bytes.toString('latin1', 0, end));
      if (typeof head === 'string') return this.#refuse(head);
      bytes = bytes.subarray(end);
      if (head.statusCode === 101) return this.#refuse('switched_protocol');
      if (head.statusCode >= 200) return this.#begin(head, bytes);
      // The answer is still to come (RFC 9110 15.2). A storm of these would keep this process from its other work.
      if (++this.#interim > MAX_INTERIM) return this.#refuse('too_many_interim');
    }
  }

  /** Where the empty line ends, if it has come. */
  #endOfHead(bytes: Buffer): number | undefined {
    let at = bytes.indexOf(LF, this.#searched);
    while (at !== -1) {
      if (bytes[at + 1] === LF) return at + 2;
      if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
      // Its next two bytes are yet to come.
      if (at + 2 >= bytes.length) break;
      at = bytes.indexOf(LF, at + 1);
    }
    this.#searched = at === -1 ? bytes.length : at;
    return undefined;
  }

  #refuse(rule: BrokenRule): undefined {
    this.#taker?.onRefused('invalid_response', BROKEN_RULES[rule]);
    this.kill();
  }

  #begin(head: AnswerHead, rest: Buffer): Buffer | undefined {
    const { framing } = head;
    this.#head = head;
    this.#held = undefined;
    this.#state = 'body';
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
    this.#chunked = framing.kind === 'chunked' ? new ChunkedDecoder() : undefined;
    this.#taker?.onAnswer(head.statusCode, head.headers);
    return this.#takeBody(rest);
  }

  #takeBody(bytes: Buffer): Buffer | undefined {
    switch (this.#head!.framing.kind) {
      case 'none':
        return this.#finish(bytes);
      case 'length': {
        const data = bytes.length <= this.#left ? bytes : bytes.subarray(0, this.#left);
        this.#left -= data.length;
        if (data.length > 0) this.#taker?.onAnswerBody(data);
        return this.#left === 0 ? this.#finish(bytes.subarray(data.length)) : undefined;
      }
      case 'chunked': {
        const end = this.#chunked!.decode(bytes, (data) => this.#taker?.onAnswerBody(data));
        if (end === 'broken') {
          this.#taker?.onBodyBroken();
          this.kill();
          return undefined;
        }
        return end === undefined ? undefined : this.#finish(bytes.subarray(end));
      }
      case 'close':
        if (bytes.length > 0) this.#taker?.onAnswerBody(bytes);
        return undefined;
    }
  }

  #finish(rest: Buffer): Buffer | undefined {
    // The taker had enough of it and has closed the connection.
    if (this.#state === 'dead') return undefined;
    const { persistent, keepAliveSeconds } = this.#head!;
    this.answered++;
    this.#state = 'idle';
    const taker = this.#taker;
    this.#taker = undefined;
    taker?.onAnswerEnd();
    // What follows belongs to no request (RFC 9112 9.2); and the next request cannot be written after half of one.
    if (!persistent || skipLineEnds(rest) < rest.length || this.connection.isWriting()) {
      this.#state = 'dead';
      return CLOSE;
    }
    return keepAliveSeconds === undefined ? KEEP : keepFor(keepAliveSeconds);
  }
}

function skipLineEnds(bytes: Buffer): number {
  let at = 0;
  while (bytes[at] === CR || bytes[at] === LF) at++;
  return at;
}

function beginsLikeStatusLine(bytes: Buffer): boolean {
  const compared = Math.min(bytes.length, STATUS_LINE_START.length);
  return bytes.compare(STATUS_LINE_START, 0, compared, 0, compared) === 0;
}
