import express, { type Request, type Response } from 'express';
import { ApiError } from './errors';

const MAX_BODY = '1mb';

/** A body as it was written, and what it says. */
export type SentBody = { bytes: Buffer; text: string; value: unknown };

/**
 * Returns a function that reads a request's JSON body; undefined where there is none.
 * The text is kept, because what a producer writes is what receivers get. It must be UTF-8 (RFC 8259, section 8.1):
 * decoding anything else would change it.
 * @throws ApiError unsupported_media_type, malformed_json; body-parser's own errors for one that is too large
 */
export function createBodyReader() {
  const collect = express.raw({ type: 'application/json', limit: MAX_BODY, inflate: false });
  const utf8 = new TextDecoder('utf-8', { fatal: true });

  return async function readBody(req: Request, res: Response): Promise<SentBody | undefined> {
    await new Promise<void>((resolve, reject) => collect(req, res, (error) => (error ? reject(error) : resolve())));
    const bytes = req.body as Buffer | undefined;
    if (bytes === undefined && announcesBody(req)) {
      throw new ApiError('unsupported_media_type', 'Send the body with "Content-Type: application/json".');
    }
    if (!bytes || bytes.length === 0) return undefined;
    if (!isUtf8(req)) throw new ApiError('unsupported_media_type', 'The body must be JSON in UTF-8, not compressed.');
    try {
      const text = utf8.decode(bytes);
      return { bytes, text, value: JSON.parse(text) };
    } catch {
      throw new ApiError('malformed_json', 'The body could not be parsed as JSON in UTF-8.');
    }
  };
}

function announcesBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isUtf8({ headers }: Request): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(headers['content-type'] ?? '')?.[1];
  return charset === undefined || /^utf-?8$/i.test(charset);
}
