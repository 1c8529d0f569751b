import type { Agent } from 'undici';
import { EgressError, sendError } from './errors';
import { Exchange } from './exchange';
import type { PeerDispatchOptions } from './peer-client';
import type { SendRequest, SendResult } from './types';
import { parseTarget, type Target } from './url';

export interface Sender {
  send(request: SendRequest): Promise<SendResult>;
  /** Waits for the requests under way, each of which ends by its own limit, and closes the connections. */
  close(): Promise<void>;
}

export interface SenderSettings {
  agent: Agent;
  allowHttp: boolean;
  /** Called when a request is sent again because the connection it went out on was being closed. */
  onResend?: (() => void) | undefined;
}

/** URLs that are remembered parsed. */
const MAX_TARGETS = 1_000;

/**
 * POSTs deliveries, and challenges endpoints. Follows no redirect. A request that met a closing connection is sent
 * again once, on a fresh one (docs/decisions/0040); nothing else is repeated.
 *
 * `send` never rejects for what the receiver did; that is the result. It rejects with NotSentError if `mayGo` returned false,
 * and for faults of our own, which say nothing about the receiver: with an OwnTroubleError if nothing was sent, else (the
 * sender was closed meanwhile) as undici does.
 *
 * The receiver has answered once its status line and headers are in. A body that stalls (5 s), breaks off or goes past
 * 16 KiB is cut there, and `bodyCut` says why: the status still counts, because a receiver that said 2xx has the
 * event, and sending it again would be a duplicate.
 */
export function createSender(settings: SenderSettings): Sender {
  const { agent } = settings;
  const targets = new Map<string, Target>();
  /** Parsing costs as much as a signature, and the same few URLs come again and again. */
  const targetOf = (url: string): Target => {
    const known = targets.get(url);
    if (known) return known;
    const target = parseTarget(url, settings);
    if (targets.size >= MAX_TARGETS) targets.clear();
    targets.set(url, target);
    return target;
  };
  let closing: Promise<void> | undefined;
  return {
    send(request) {
      let target: Target;
      try {
        target = targetOf(request.url);
      } catch (error) {
        if (!(error instanceof EgressError)) return Promise.reject(error);
        return Promise.resolve({
          startedAt: new Date(),
          durationMs: 0,
          remoteAddress: null,
          kind: 'error',
          ...sendError(error.sendErrorCode),
        });
      }
      const { origin, path, secure } = target;
      return new Promise<SendResult>((resolve, reject) => {
        const { timeoutMs, tenantId, mayGo } = request;
        const exchange = new Exchange({ secure, timeoutMs, tenantId, mayGo }, resolve, reject, () => {
          settings.onResend?.();
          agent.dispatch(options, exchange);
        });
        const options: PeerDispatchOptions = {
          origin,
          path,
          method: request.method ?? 'POST',
          headers: request.headers,
          body: request.body ?? null,
          exchange,
        };
        agent.dispatch(options, exchange);
      });
    },
    close() {
      closing ??= agent.close();
      return closing;
    },
  };
}
