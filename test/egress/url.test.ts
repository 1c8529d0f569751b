import type { EgressError } from '../../src/egress/errors';
import { parseTarget } from '../../src/egress/url';

function codeOf(url: string, allowHttp = false): string | undefined {
  try {
    parseTarget(url, { allowHttp });
    return undefined;
  } catch (error) {
    return (error as EgressError).sendErrorCode;
  }
}

test('splits a URL into what the connection and what the request line need', () => {
  expect(parseTarget('https://Example.com:8443/a/b?c=d#e', { allowHttp: false })).toEqual({
    origin: 'https://example.com:8443',
    path: '/a/b?c=d',
    secure: true,
  });
});

test.each([
  ['https://example.com', undefined],
  ['http://example.com', 'insecure_scheme'],
  ['ftp://example.com', 'invalid_url'],
  ['file:///etc/passwd', 'invalid_url'],
  ['data:text/plain,x', 'invalid_url'],
  ['https://user@example.com/', 'invalid_url'],
  ['https://:password@example.com/', 'invalid_url'],
  ['https://', 'invalid_url'],
  ['example.com', 'invalid_url'],
  ['', 'invalid_url'],
  ['https://example.com:99999/', 'invalid_url'],
])('%s → %s', (url, code) => {
  expect(codeOf(url)).toBe(code);
});

test('http needs the installation’s leave', () => {
  expect(codeOf('http://example.com', true)).toBeUndefined();
  expect(codeOf('ftp://example.com', true)).toBe('invalid_url');
});
