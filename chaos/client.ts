import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than anything the api may take; a way that is held for longer leaves the answer unknown. */
const ANSWER_LIMIT_MS = 25_000;

/** A client's key, and where it sends. */
export type Caller = { tenantId: string; key: string; keyId: string };

/** One request and its answer; without a status nobody knows whether it was done. */
export type Call = {
  at: number;
  /** When the answer was there, or was given up. */
  answeredAt: number;
  api: number;
  method: string;
  path: string;
  status?: number;
  body?: any;
  /** Why there is no answer. */
  error?: string;
};

export type Client = {
  /** By one of the apis, chosen by the caller. Never rejects. */
  call(caller: Caller, api: number, method: string, path: string, body?: unknown, headers?: Headers): Promise<Call>;
};
type Headers = Record<string, string>;

/** `urls` lead through the proxies in front of the apis. `onCall` hears of every call once it has its answer. */
export function createClient(urls: readonly string[], onCall: (call: Call) => void): Client {
  return {
    async call(caller, api, method, path, body, headers = {}) {
      const call: Call = { at: Date.now(), answeredAt: 0, api, method, path };
      try {
        const response = await fetch(`${urls[api % urls.length]}/api/v1${path}`, {
          method,
          headers: {
            authorization: `Bearer ${caller.key}`,
            ...(body !== undefined && { 'content-type': 'application/json' }),
            ...headers,
          },
          ...(body !== undefined && { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
        });
        const text = await response.text();
        call.status = response.status;
        if (text) call.body = JSON.parse(text);
      } catch (error) {
        const { message, cause } = error as Error & { cause?: { code?: string } };
        delete call.status;
        call.error = cause?.code ?? message;
      }
      call.answeredAt = Date.now();
      onCall(call);
      return call;
    },
  };
}

/** Whether the answer says that it was done. */
export const wasDone = ({ status }: Call): boolean => status !== undefined && status < 300;
/** It may have been done, or may not. */
export const isUnknown = ({ status }: Call): boolean => status === undefined || status >= 500;

/** Not done, and to be asked again: it came too slowly through a way that was held, is under way, or is too much now. */
export const isLater = ({ status }: Call): boolean => status === 408 || status === 409 || status === 429;

/** Asks again until there is an answer that is neither unknown nor "later"; the last call where there is none by then. */
export async function untilAnswered(
  ask: (round: number) => Promise<Call>,
  { goOn, waitMs }: { goOn: () => boolean; waitMs: () => number },
): Promise<Call> {
  for (let round = 0; ; round++) {
    const call = await ask(round);
    if (!(isUnknown(call) || isLater(call)) || !goOn()) return call;
    await sleep(waitMs());
  }
}
