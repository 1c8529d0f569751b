/** A small client of our own API, for the commands that act as its user. */
export type ApiClient = <T = Record<string, unknown>>(method: string, path: string, body?: unknown) => Promise<T>;

/** An answer that is not 2xx. */
export class NotDoneError extends Error {
  override readonly name = 'NotDoneError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const LIMIT_MS = 10_000;

/** @throws NotDoneError with the problem's code and detail if the answer is not 2xx */
export function createApiClient(url: string, apiKey: string): ApiClient {
  return async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    const text = await response.text();
    if (response.ok) return (text ? JSON.parse(text) : undefined) as T;
    throw new NotDoneError(response.status, `${method} ${path} was answered ${response.status}: ${text}`);
  };
}
