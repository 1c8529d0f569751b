const LF = 10;
const CR = 13;
/** Of a chunk's size with its extensions, and of each trailer; nobody needs that much. */
const MAX_LINE_BYTES = 4 * 1024;
/** Of all trailers. */
const MAX_TRAILER_BYTES = 16 * 1024;
/** Size, then extensions, which are ignored (RFC 9112 7.1.1); there may be white space before each (RFC 9110 5.6.3). */
const SIZE_LINE = /^0*([0-9a-f]{1,16})[ \t]*(?:;.*)?$/i;

/** Decodes a chunked body (RFC 9112 7.1) as it comes, in whatever pieces. Trailers are dropped. */
export class ChunkedDecoder {
  #state: 'size' | 'data' | 'data end' | 'trailers' = 'size';
  /** Of the chunk at hand, bytes. */
  #left = 0;
  /** The beginning of a line whose end is yet to come. */
  #line = '';
  #trailerBytes = 0;

  /**
   * @param onData called with each piece of the body; a view of `bytes`
   * @returns how many of `bytes` belong to the body, once it has ended; else undefined, or `broken`
   */
  decode(bytes: Buffer, onData: (data: Buffer) => void): number | 'broken' | undefined {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'data') {
        const data = bytes.subarray(at, Math.min(bytes.length, at + this.#left));
        onData(data);
        at += data.length;
        this.#left -= data.length;
        if (this.#left === 0) this.#state = 'data end';
        continue;
      }
      const end = bytes.indexOf(LF, at);
      const piece = bytes.toString('latin1', at, end === -1 ? bytes.length : end);
      this.#line = this.#line === '' ? piece : this.#line + piece;
      if (this.#line.length > MAX_LINE_BYTES) return 'broken';
      if (end === -1) return undefined;
      at = end + 1;
      const line = this.#line;
      this.#line = '';
      if (line.charCodeAt(line.length - 1) !== CR) return 'broken';
      const ended = this.#take(line.slice(0, -1));
      if (ended === 'broken') return 'broken';
      if (ended) return at;
    }
    return undefined;
  }

  /** A whole line, without its end. @returns whether the body has ended with it */
  #take(line: string): boolean | 'broken' {
    switch (this.#state) {
      case 'size': {
        const digits = SIZE_LINE.exec(line)?.[1];
        if (digits === undefined) return 'broken';
        this.#left = Math.min(Number.parseInt(digits, 16), Number.MAX_SAFE_INTEGER);
        this.#state = this.#left === 0 ? 'trailers' : 'data';
        return false;
      }
      case 'data end':
        if (line !== '') return 'broken';
        this.#state = 'size';
        return false;
      case 'trailers':
        this.#trailerBytes += line.length + 2;
        if (this.#trailerBytes > MAX_TRAILER_BYTES) return 'broken';
        return line === '';
      default:
        throw new Error('data is no line');
    }
  }
}
