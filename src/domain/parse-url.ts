/**
 * The URL that a text is (WHATWG URL); undefined if it is none. The only way in which texts from outside are parsed:
 * `URL.canParse` answers otherwise once V8 has compiled its caller (Node 20 reads non-ASCII texts as other bytes then),
 * so that a good URL is refused, or a bad one let through to a constructor that throws.
 */
export function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
