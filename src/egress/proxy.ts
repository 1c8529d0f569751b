import { parseUrl } from '../domain/parse-url';

/** The proxy that every connection to an endpoint goes through. */
export type EgressProxy = {
  /** Whether it is spoken to over TLS itself. */
  secure: boolean;
  hostname: string;
  port: number;
  /** The value of Proxy-Authorization; a secret. */
  authorization: string | undefined;
};

/**
 * Reads `http://user:password@proxy.example:3128`; https as well. Undefined if it is none: another scheme, a path, or a query.
 * The user name and the password may be percent-encoded (RFC 3986 3.2.1) and go out as UTF-8 (RFC 7617 2.1).
 */
export function parseEgressProxy(text: string): EgressProxy | undefined {
  const url = parseUrl(text);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return undefined;
  const secure = url.protocol === 'https:';
  const credentials = url.username === '' && url.password === '' ? undefined : credentialsOf(url);
  if (credentials === null) return undefined;
  return {
    secure,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (secure ? 443 : 80)),
    authorization: credentials && `Basic ${Buffer.from(credentials).toString('base64')}`,
  };
}

function credentialsOf({ username, password }: URL): string | null {
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    return null;
  }
}
