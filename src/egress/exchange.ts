import type { Dispatcher } from 'undici';
import { OwnTroubleError, type OwnTroubleReason } from '../domain/own-trouble';
import type { AnswerTaker } from './answer-reader';
import { classifyError, isClosed } from './classify-error';
import { explainedError } from './error-details';
import type { SendErrorCode } from './errors';
import type { Peer, PeerAware } from './peer-client';
import type { BodyCut, SendRequest, SendResult } from './types';

/** Of a response body; enough for any error message, little enough to store with every attempt. */
export const MAX_BODY_BYTES = 16 * 1024;
const NO_BODY = Buffer.alloc(0);
/**
 * Longest wait for a resource of ours: a free connection, a permit to look the name up. Then the request is rejected
 * unsent, so that it does not hold a delivery slot; shorter than the wait for a permit may be, so that it ends first.
 */
const MAX_OWN_WAIT_MS = 2_000;
/**
 * How long after a request was written its connection may close so that it is sent again. A receiver that was closing an
 * idle connection is heard of within a round trip; one that closes later has had the request in its hands.
 */
const CLOSING_WITHIN_MS = 5_000;
/** For the body, once the status has come: it decides nothing any more, and a delivery slot waits for it. */
const BODY_TIMEOUT_MS = 5_000;

export type ExchangeRequest = Pick<SendRequest, 'timeoutMs' | 'tenantId' | 'mayGo'> & { secure: boolean };

/** The request was not sent, because its `mayGo` returned false. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

/**
 * One POST on its way, as undici's handler. It ends exactly once: by the answer, by an error, or by its own deadline,
 * which does not count waits for resources of ours. Those have a limit of their own.
 */
export class Exchange implements Dispatcher.DispatchHandler, PeerAware, AnswerTaker {
  settled = false;
  wantsFreshConnection = false;

  #peer: Peer | null = null;

  readonly #startedAt = new Date();
  readonly #startedMs = performance.now();
  /** When a connection slot was asked for. */
  #askedMs = this.#startedMs;
  /** Until there was a connection slot, milliseconds. */
  #waitedForPeerMs = 0;
  /** When it was written to a connection; undefined before that. */
  #sentMs: number | undefined;
  readonly #chunks: Buffer[] = [];
  #bodyBytes = 0;
  /** The code if the time runs out in the body. */
  #bodyTimeoutCode: BodyCut = 'total_timeout';
  #answer: { statusCode: number; headers: Record<string, string> } | undefined;
  #timer: NodeJS.Timeout;

  constructor(
    private readonly request: ExchangeRequest,
    private readonly resolve: (result: SendResult) => void,
    private readonly reject: (error: Error) => void,
    /** Dispatches it once more. */
    private readonly dispatchAgain: () => void,
  ) {
    this.#timer = setTimeout(() => this.#check(), Math.min(request.timeoutMs, MAX_OWN_WAIT_MS));
  }

  get tenantId(): string {
    return this.request.tenantId;
  }

  onPeer(peer: Peer): void {
    this.#peer = peer;
    this.#waitedForPeerMs += performance.now() - this.#askedMs;
  }

  /** Right before it is written. Where this throws, undici drops the request and keeps the connection. */
  onRequestStart(): void {
    if (!this.settled && this.request.mayGo?.() === false && this.#settle()) this.reject(new NotSentError());
    if (this.settled) throw new Error('given up');
    this.#sentMs = performance.now();
    this.#peer?.answers?.expect(this);
  }

  onAnswer(statusCode: number, headers: Record<string, string>): void {
    if (this.settled) return;
    this.#answer = { statusCode, headers };
    if (this.#leftMs <= BODY_TIMEOUT_MS) return;
    clearTimeout(this.#timer);
    this.#bodyTimeoutCode = 'body_timeout';
    this.#timer = this.#giveUpAfter(BODY_TIMEOUT_MS);
  }

  onAnswerBody(chunk: Buffer): void {
    if (this.settled) return;
    const left = MAX_BODY_BYTES - this.#bodyBytes;
    const kept = chunk.length <= left ? chunk : chunk.subarray(0, left);
    this.#chunks.push(kept);
    this.#bodyBytes += kept.length;
    if (chunk.length > left) this.#finish('body_too_large');
  }

  onAnswerEnd(): void {
    this.#finish(null);
  }

  onBodyBroken(): void {
    this.#finish('body_broken_off');
  }

  onRefused(code: 'invalid_response' | 'headers_too_large', rule?: string): void {
    this.#fail(code, rule);
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.settled) return;
    if (this.#answer) {
      this.#finish('body_broken_off');
      return;
    }
    if (this.#metClosing(error)) {
      this.#sendAgain();
      return;
    }
    const code = classifyError(error, {
      sent: this.#sentMs !== undefined,
      secure: this.request.secure,
      timeoutCode: this.#peer?.timeoutCode ?? 'connect_timeout',
    });
    if (typeof code === 'string') this.#fail(code, error);
    else this.#rejectWith(code);
  }

  /**
   * Whether it met a connection that the receiver was closing: one that has served before, and that was closed before
   * anything of an answer came. That is no fault of the endpoint's (docs/decisions/0040).
   */
  #metClosing(error: Error): boolean {
    if (this.wantsFreshConnection || !isClosed(error) || this.#leftMs <= 0) return false;
    const answers = this.#peer?.answers;
    if (!answers || answers.answered === 0) return false;
    if (this.#sentMs === undefined) return true;
    return !answers.begun && performance.now() - this.#sentMs <= CLOSING_WITHIN_MS;
  }

  #sendAgain(): void {
    this.wantsFreshConnection = true;
    this.#waitedForPeerMs += this.#peer?.waitedMs ?? 0;
    this.#peer = null;
    this.#sentMs = undefined;
    this.#askedMs = performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), Math.min(this.#leftMs, MAX_OWN_WAIT_MS));
    // undici is still in the middle of closing that connection.
    queueMicrotask(this.dispatchAgain);
  }

  /** @param said which rule the answer breaks, or what a library said */
  #fail(code: SendErrorCode, said?: string | Error): void {
    if (!this.#settle()) return;
    this.resolve({
      kind: 'error',
      startedAt: this.#startedAt,
      durationMs: performance.now() - this.#startedMs,
      remoteAddress: this.#peer?.remoteAddress ?? null,
      ...explainedError(code, said),
    });
  }

  /** What is left of the request's time; waits for resources of ours are not counted. */
  get #leftMs(): number {
    const waitedMs = this.#waitedForPeerMs + (this.#peer?.waitedMs ?? 0);
    return this.request.timeoutMs + waitedMs - (performance.now() - this.#startedMs);
  }

  #check(): void {
    if (this.settled) return;
    const reason = this.#waitsFor();
    const leftMs = reason ? MAX_OWN_WAIT_MS - (performance.now() - this.#askedMs) : this.#leftMs;
    if (leftMs > 0) this.#timer = setTimeout(() => this.#check(), leftMs);
    else if (reason) this.#rejectWith(new OwnTroubleError(reason));
    else this.#timer = this.#giveUpAfter(0);
  }

  /** The resource of ours that it still waits for; undefined once it waits for the endpoint or its name. */
  #waitsFor(): OwnTroubleReason | undefined {
    if (this.#sentMs !== undefined) return undefined;
    if (!this.#peer) return 'no_free_connection';
    return this.#peer.waitsSinceMs === null ? undefined : this.#peer.waitsFor;
  }

  #giveUp(): void {
    if (this.settled) return;
    if (this.#answer) this.#finish(this.#bodyTimeoutCode);
    else if (this.#sentMs !== undefined) this.#fail('headers_timeout');
    else if (this.#peer?.timeoutCode === 'dns_timeout' && !this.#peer.answersCome()) {
      this.#rejectWith(new OwnTroubleError('name_servers_unavailable'));
    } else this.#fail(this.#peer?.timeoutCode ?? 'connect_timeout');
    this.#abort();
  }

  /** When this process was held up, timers run before sockets are read: the answer may be there already. */
  #giveUpAfter(afterMs: number): NodeJS.Timeout {
    return setTimeout(() => setImmediate(() => this.#giveUp()), afterMs);
  }

  #rejectWith(error: Error): void {
    if (this.#settle()) this.reject(error);
  }

  #finish(bodyCut: BodyCut | null): void {
    const answer = this.#answer;
    if (!answer || !this.#settle()) return;
    // A copy: the chunks are windows on the socket's read buffers, which would live as long as the result.
    const body = this.#chunks.length === 0 ? NO_BODY : Buffer.concat(this.#chunks);
    this.resolve({
      kind: 'response',
      startedAt: this.#startedAt,
      durationMs: performance.now() - this.#startedMs,
      remoteAddress: this.#peer?.remoteAddress ?? null,
      statusCode: answer.statusCode,
      headers: answer.headers,
      body,
      bodyCut,
    });
    if (bodyCut) this.#abort();
  }

  /** Closes the connection, made or being made: what is left of the answer is not read. */
  #abort(): void {
    if (this.#sentMs === undefined) this.#peer?.giveUpConnecting();
    else this.#peer?.answers?.kill();
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    if (this.#peer?.exchange === this) this.#peer.exchange = null;
    clearTimeout(this.#timer);
    return true;
  }
}
