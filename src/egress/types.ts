import type { LookupAddress } from 'node:dns';
import type { ExplainedError } from './error-details';

export interface SendRequest {
  url: string;
  /** Whose request it is: lookups that have to wait are shared out by tenant. */
  tenantId: string;
  /** POST unless it says otherwise: the others are for endpoint verification. */
  method?: 'POST' | 'GET' | 'OPTIONS';
  headers: Record<string, string>;
  body?: Buffer;
  /**
   * From the call to the status line and headers of the answer, connecting included; waits for
   * resources of ours are not counted.
   */
  timeoutMs: number;
  /** Called right before the request is written to its connection, which may take a while to be established. */
  mayGo?: () => boolean;
}

/** Why a body was kept only in part: its own limits of time and size, the receiver, or the limit of the attempt. */
export type BodyCut = 'body_timeout' | 'body_too_large' | 'body_broken_off' | 'total_timeout';

export type SendResult = {
  startedAt: Date;
  /** To the end of what was read of the answer. */
  durationMs: number;
  /** Where it was sent to, for operators; null if there was no connection. */
  remoteAddress: string | null;
} & (
  | {
      kind: 'response';
      statusCode: number;
      headers: Record<string, string>;
      /** As it came, never inflated; at most 16 KiB. */
      body: Buffer;
      /** Why this is not the whole body; null when it is. */
      bodyCut: BodyCut | null;
    }
  | ({ kind: 'error' } & ExplainedError)
);

/** Who looks names up. */
export interface NameServers {
  /** All addresses of a host name; none if there is no such name. Rejects with a `code` of `node:dns`. */
  resolve(hostname: string, signal: AbortSignal): Promise<LookupAddress[]>;
  /** Whether any name was answered since then (of `performance.now()`): if none was, a timeout proves nothing. */
  answeredSince(sinceMs: number): boolean;
}
