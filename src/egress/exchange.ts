import type { Dispatcher } from 'undici';
import { OwnTroubleError, type OwnTroubleReason } from '../domain/own-trouble';
import { classifyError } from './classify-error';
import { explainedError } from './error-details';
import type { SendErrorCode } from './errors';
import type { Peer, PeerAware } from './peer-client';
import type { BodyCut, SendRequest, SendResult } from './types';

/** Of a response body; enough for any error message, little enough to store with every attempt. */
export const MAX_BODY_BYTES = 16 * 1024;
const NO_BODY = Buffer.alloc(0);
/** 1xx answers before the real one; servers send one or two. */
const MAX_INTERIM = 32;
/**
 * Longest wait for a resource of ours: a free connection, a permit to look the name up. Then the request is rejected
 * unsent, so that it does not hold a delivery slot; shorter than the wait for a permit may be, so that it ends first.
 */
const MAX_OWN_WAIT_MS = 2_000;
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
export class Exchange implements Dispatcher.DispatchHandler, PeerAware {
  settled = false;

  #peer: Peer | null = null;

  readonly #startedAt = new Date();
  readonly #startedMs = performance.now();
  /** Until there was a connection slot, milliseconds. */
  #waitedForPeerMs = 0;
  readonly #chunks: Buffer[] = [];
  #bodyBytes = 0;
  #interim = 0;
  /** The code if the time runs out in the body. */
  #bodyTimeoutCode: BodyCut = 'total_timeout';
  #answer: { statusCode: number; headers: Record<string, string> } | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout;

  constructor(
    private readonly request: ExchangeRequest,
    private readonly resolve: (result: SendResult) => void,
    private readonly reject: (error: Error) => void,
  ) {
    this.#timer = setTimeout(() => this.#check(), Math.min(request.timeoutMs, MAX_OWN_WAIT_MS));
  }

  get tenantId(): string {
    return this.request.tenantId;
  }

  onPeer(peer: Peer): void {
    this.#peer = peer;
    this.#waitedForPeerMs = performance.now() - this.#startedMs;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (!this.settled && this.request.mayGo?.() === false && this.#settle()) this.reject(new NotSentError());
    if (this.settled) this.#abort();
  }

  onResponseStart(_: unknown, statusCode: number, headers: Record<string, string | string[] | undefined>): void {
    if (this.settled) return;
    if (statusCode < 200) {
      // The answer is still to come (RFC 9110 15.2). A storm of these would keep this process from its other work.
      if (++this.#interim > MAX_INTERIM) this.#refuse('invalid_response');
      return;
    }
    this.#answer = { statusCode, headers: flatten(headers) };
    if (this.#leftMs <= BODY_TIMEOUT_MS) return;
    clearTimeout(this.#timer);
    this.#bodyTimeoutCode = 'body_timeout';
    this.#timer = this.#giveUpAfter(BODY_TIMEOUT_MS);
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    if (this.settled) return;
    const left = MAX_BODY_BYTES - this.#bodyBytes;
    const kept = chunk.length <= left ? chunk : chunk.subarray(0, left);
    this.#chunks.push(kept);
    this.#bodyBytes += kept.length;
    if (chunk.length > left) this.#finish('body_too_large');
  }

  onResponseEnd(): void {
    this.#finish(null);
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.settled) return;
    if (this.#answer) {
      this.#finish('body_broken_off');
      return;
    }
    const code = classifyError(error, {
      sent: this.#controller !== undefined,
      secure: this.request.secure,
      timeoutCode: this.#peer?.timeoutCode ?? 'connect_timeout',
    });
    if (typeof code === 'string') this.#fail(code, error);
    else this.#rejectWith(code);
  }

  #refuse(code: SendErrorCode): void {
    this.#fail(code);
    this.#abort();
  }

  #fail(code: SendErrorCode, error?: Error): void {
    if (!this.#settle()) return;
    this.resolve({
      kind: 'error',
      startedAt: this.#startedAt,
      durationMs: performance.now() - this.#startedMs,
      remoteAddress: this.#peer?.remoteAddress ?? null,
      ...explainedError(code, error),
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
    const leftMs = reason ? MAX_OWN_WAIT_MS - (performance.now() - this.#startedMs) : this.#leftMs;
    if (leftMs > 0) this.#timer = setTimeout(() => this.#check(), leftMs);
    else if (reason) this.#rejectWith(new OwnTroubleError(reason));
    else this.#timer = this.#giveUpAfter(0);
  }

  /** The resource of ours that it still waits for; undefined once it waits for the endpoint or its name. */
  #waitsFor(): OwnTroubleReason | undefined {
    if (this.#controller) return undefined;
    if (!this.#peer) return 'no_free_connection';
    return this.#peer.waitsSinceMs === null ? undefined : this.#peer.waitsFor;
  }

  #giveUp(): void {
    if (this.settled) return;
    if (this.#answer) this.#finish(this.#bodyTimeoutCode);
    else if (this.#controller) this.#fail('headers_timeout');
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

  /** Closes the connection: what is left of the answer is not read. */
  #abort(): void {
    this.#controller?.abort(new Error('given up'));
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    clearTimeout(this.#timer);
    return true;
  }
}

/** A header that came more than once, as one value (RFC 9110 5.2). */
function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    const text = typeof value === 'string' ? value : value.join(', ');
    // Assigned, it would be the prototype.
    if (name === '__proto__') Object.defineProperty(flat, name, { value: text, enumerable: true });
    else flat[name] = text;
  }
  return flat;
}
