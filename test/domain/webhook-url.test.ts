import fc from 'fast-check';
import { readWebhookUrl } from '../../src/domain/webhook-url';

function hrefOf(text: string): string {
  const read = readWebhookUrl(text);
  if ('problem' in read) throw new Error(read.problem);
  return read.url.href;
}

describe('the normal form of a URL', () => {
  test.each([
    // What the WHATWG's parser leaves raw and RFC 3986 does not have there.
    ['https://a.test/x|y', 'https://a.test/x%7Cy'],
    ['https://a.test/{id}/^`', 'https://a.test/%7Bid%7D/%5E%60'],
    ['https://a.test/?a={b}|c^d`e', 'https://a.test/?a=%7Bb%7D%7Cc%5Ed%60e'],
    ['https://a.test/list[0]?ids[]=1', 'https://a.test/list%5B0%5D?ids%5B%5D=1'],
    ['https://a.test/?a\\b', 'https://a.test/?a%5Cb'],
    ['https://a.test/#{x}', 'https://a.test/#%7Bx%7D'],
    ['https://a.test/100%?of=5%&b=%2', 'https://a.test/100%25?of=5%25&b=%252'],
    ['https://a.test/ü?ß=€', 'https://a.test/%C3%BC?%C3%9F=%E2%82%AC'],
    ['https://a.test/a b?c d"<>\'', 'https://a.test/a%20b?c%20d%22%3C%3E%27'],
    // Left as they are.
    ["https://a.test/-._~!$&'()*+,;=:@/", "https://a.test/-._~!$&'()*+,;=:@/"],
    ['https://a.test/%7e%2f%c3%bc?%7B', 'https://a.test/%7e%2f%c3%bc?%7B'],
    ['https://a.test//x//?a?b/c', 'https://a.test//x//?a?b/c'],
    // What the parser does.
    ['HTTPS://A.Test:443', 'https://a.test/'],
    ['https://a.test/b/../c/./d', 'https://a.test/c/d'],
    ['https://bücher.example/', 'https://xn--bcher-kva.example/'],
    ['https://127.1/', 'https://127.0.0.1/'],
  ])('%s → %s', (text, href) => {
    expect(hrefOf(text)).toBe(href);
  });

  test('is one of RFC 3986, means the same, and is its own normal form, whatever was written', () => {
    const text = fc.string({ unit: fc.constantFrom(...'abc09/?#%{}|^`[]\\\'"<> ~!&=+ü\t\n') });
    const part = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*";
    const form = new RegExp(`^https://a\\.test/${part}(\\?(?:${part}|\\?)*)?(#(?:${part}|\\?)*)?$`);
    fc.assert(
      fc.property(text, (rest) => {
        const href = hrefOf(`https://a.test/${rest}`);
        expect(href).toMatch(form);
        expect(hrefOf(href)).toBe(href);
        const unescaped = (path: string) =>
          path.replace(/%[0-9A-Fa-f]{2}/g, (one) => String.fromCharCode(Number.parseInt(one.slice(1), 16)));
        expect(unescaped(href)).toBe(unescaped(new URL(`https://a.test/${rest}`).href));
      }),
    );
  });
});

describe('hosts', () => {
  const label = 'a'.repeat(63);

  test.each([
    'my_host.example.com',
    '_dmarc.example.com',
    'example.com.',
    `${label}.com`,
    `${label}.${label}.${label}.${'a'.repeat(61)}`,
    `${label}.${label}.${label}.${'a'.repeat(61)}.`,
    'xn--bcher-kva.example',
    'bücher.example',
    '127.0.0.1',
    '[::1]',
    '[2001:db8::1]',
    'localhost',
  ])('%s may be one', (host) => {
    expect(readWebhookUrl(`https://${host}:8443/x`)).toHaveProperty('url');
  });

  test.each([
    `${label}a.com`,
    `www.${'ü'.repeat(60)}.example`,
    `${label}.${label}.${label}.${'a'.repeat(62)}`,
    'a..example.com',
    '.example.com',
    'example.com..',
    '.',
    'a{b}.example.com',
    'a"b.example.com',
    'a*b.example.com',
    '*.example.com',
    'a!b.example.com',
    "a'b.example.com",
    'a,b.example.com',
    'a;b.example.com',
    'a~b.example.com',
    'a`b.example.com',
  ])('%s may be none', (host) => {
    expect(readWebhookUrl(`https://${host}/`)).toEqual({ problem: expect.stringMatching(/absolute URL|1 to 63/) });
  });
});
