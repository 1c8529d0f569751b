import { parseUrl } from '../../src/domain/parse-url';
import { parseTarget } from '../../src/egress/url';

/** Calls after which V8 has compiled what calls it; some tens of thousands are enough. */
const WARM = 100_000;

/** Texts whose answer `URL.canParse` changes once it is hot (Node 20), and their neighbours. */
const GOOD: [text: string, href: string][] = [
  ['https://münchen.example/hook', 'https://xn--mnchen-3ya.example/hook'],
  ['https://bücher.example/ä?ö=ü', 'https://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC'],
  ['https://straße.example/', 'https://xn--strae-oqa.example/'],
  ['https://例え.example/', 'https://xn--r8jz45g.example/'],
  ['https://пример.example:8443/', 'https://xn--e1afmkfd.example:8443/'],
  ['https://١٢٧.example/', 'https://xn--9hbcp.example/'],
  ['https://🦊.example/', 'https://xn--9s9h.example/'],
  ['https://ex\u00adample.com/', 'https://example.com/'],
  ['https://example.com/ÿ', 'https://example.com/%C3%BF'],
  ['https://example.com/\ud800', 'https://example.com/%EF%BF%BD'],
  ['https://127。0。0。1/', 'https://127.0.0.1/'],
  ['HTTPS://EXAMPLE.com', 'https://example.com/'],
];
const BAD = [
  '',
  'example.com',
  '/hook',
  'https://',
  'https://ü ü/',
  'https://\u00a0/',
  'https://ÿ<>/',
  'https://[::g]/',
];
BAD.push(
  'https://xn--a.example/',
  'https://xn--ÿ.example/',
  'https://\u00ad/',
  'https://1.2.3.4.5.256/',
  'http://a:99999/',
);

test('a text has the same answer however often it was asked for', () => {
  const first = [...GOOD.map(([text]) => text), ...BAD].map((text) => [text, parseUrl(text)?.href] as const);
  expect(first.filter(([, href]) => href !== undefined)).toEqual(GOOD);
  const changed = new Set<string>();
  for (let n = 0; n < WARM; n++) {
    const [text, href] = first[n % first.length]!;
    if (parseUrl(text)?.href !== href) changed.add(text);
  }
  expect([...changed]).toEqual([]);
});

test('the target of a delivery has the same answer however often it was asked for', () => {
  const hrefOf = (text: string) => {
    try {
      const { origin, path } = parseTarget(text, { allowHttp: true });
      return origin + path;
    } catch (error) {
      return (error as { sendErrorCode?: string }).sendErrorCode;
    }
  };
  const changed = new Set<string>();
  for (let n = 0; n < WARM; n++) {
    const [text, href] = GOOD[n % GOOD.length]!;
    if (hrefOf(text) !== href) changed.add(text);
    const bad = BAD[n % BAD.length]!;
    if (hrefOf(bad) !== 'invalid_url') changed.add(bad);
  }
  expect([...changed]).toEqual([]);
});
