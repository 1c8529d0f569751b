import express, { type Request, type Response } from 'express';
import { parseJsonInSteps } from '../../domain/parse-json';
import type { Steps } from '../../domain/work-budget';
import { ApiError, bodyTooLarge } from '../errors';

const MAX_BODY_BYTES = 1024 * 1024;

/** A body as received, and parsed. */
export type SentBody = { bytes: Buffer; text: string; value: unknown };

/**
 * Returns a function that reads a request's JSON body; undefined if there is none.
 * The text is kept, because receivers get what the producer wrote. It must be UTF-8 (RFC 8259, section 8.1):
 * decoding anything else would change it.
 *
 * `parse` is called with the bytes, and may let other work run first and between its steps.
 * @throws ApiError body_too_large, as soon as that is known; unsupported_media_type, malformed_json
 */
export function createBodyReader() {
  const collect = express.raw({ type: 'application/json', limit: MAX_BODY_BYTES, inflate: false });
  const utf8 = new TextDecoder('utf-8', { fatal: true });

  return async function readBody(
    req: Request,
    res: Response,
    parse: (bytes: Buffer, steps: Steps<SentBody>) => Promise<SentBody>,
  ): Promise<SentBody | undefined> {
    await new Promise<void>((resolve, reject) => {
      refuseEarly(req, reject);
      collect(req, res, (error) => (error ? reject(error) : resolve()));
    });
    const bytes = req.body as Buffer | undefined;
    if (bytes === undefined && announcesBody(req)) {
      throw new ApiError('unsupported_media_type', 'Send the body with "Content-Type: application/json".');
    }
    if (!bytes || bytes.length === 0) return undefined;
    if (!isUtf8(req)) throw new ApiError('unsupported_media_type', 'The body must be JSON in UTF-8, not compressed.');
    return parse(bytes, parseJson(bytes));
  };

  function* parseJson(bytes: Buffer): Steps<SentBody> {
    try {
      const text = utf8.decode(bytes);
      return { bytes, text, value: yield* parseJsonInSteps(text) };
    } catch {
      throw new ApiError('malformed_json', 'The body could not be parsed as JSON in UTF-8.');
    }
  }
}

/** body-parser reads a body that is too large to its end before it fails, and such a body may be endless. */
function refuseEarly(req: Request, refuse: (error: ApiError) => void): void {
  if (Number(req.headers['content-length'] ?? 0) > MAX_BODY_BYTES) refuse(bodyTooLarge());
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) refuse(bodyTooLarge());
  });
}

function announcesBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isUtf8({ headers }: Request): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(headers['content-type'] ?? '')?.[1];
  return charset === undefined || /^utf-?8$/i.test(charset);
}
