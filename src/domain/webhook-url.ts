import { parseUrl } from './parse-url';

/** Characters of a webhook's URL in its normal form. */
export const MAX_URL_LENGTH = 2_048;
/** Of a name without its last dot (RFC 1035 2.3.4). */
const MAX_HOST_LENGTH = 253;
/**
 * What names in DNS are made of, and TLS may be told (RFC 6066 3, RFC 1034 3.5), plus the underscore, which is in use. The
 * URL parser lets far more pass: `{`, `"`, `*`, empty labels and endless ones.
 */
const LABEL = /^[a-z0-9_-]{1,63}$/;

/** What a URL may not hold as it stands (RFC 3986 3.3 to 3.5), a percent sign that begins no triplet included. */
const NOT_IN_PATH = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/g;
const NOT_IN_QUERY = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]/g;

/**
 * A webhook's URL in its normal form, in which it is measured, stored and sent: as the WHATWG's parser writes it (lower-case
 * host in ASCII, no default port, no dot segments), and with every character percent-encoded that RFC 3986 does not have in
 * its place. That parser leaves some of them raw: the braces, the bar and the circumflex in a query, the bar and brackets in
 * a path. What is encoded already stays as it was written: receivers may compare it.
 */
export function readWebhookUrl(text: string): { url: URL } | { problem: string } {
  const url = parseUrl(text);
  if (!url) return { problem: 'must be an absolute URL' };
  // Of another scheme: refused for that.
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { url };
  const problem = hostProblem(url.hostname);
  if (problem) return { problem };
  const [path, query, fragment] = [
    encode(url.pathname, NOT_IN_PATH),
    encode(url.search.slice(1), NOT_IN_QUERY),
    encode(url.hash.slice(1), NOT_IN_QUERY),
  ];
  if (path !== url.pathname) url.pathname = path;
  if (query !== url.search.slice(1)) url.search = query;
  if (fragment !== url.hash.slice(1)) url.hash = fragment;
  return { url };
}

/** Why this host, as the URL parser writes it, is none that an endpoint can have. */
function hostProblem(hostname: string): string | undefined {
  if (hostname.startsWith('[')) return undefined;
  // A name may end in a dot, which says that it is whole (RFC 1034 3.1).
  const name = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
  const isName = name.length <= MAX_HOST_LENGTH && name.split('.').every((label) => LABEL.test(label));
  return isName
    ? undefined
    : 'must have a host that is an address or a name: parts of 1 to 63 letters, digits, hyphens and underscores with dots between them, 253 characters in all';
}

function encode(text: string, unfit: RegExp): string {
  return text.replace(unfit, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}
