import { z } from 'zod';
import { type IdKind, idPattern } from '../../../domain/ids';

/**
 * Pieces of what the API answers. The schemas of this folder describe answers for the OpenAPI document; answers are
 * not parsed with them; test/openapi/answers.test.ts compares the two. Objects are strict: an answer has no other members.
 */

export const publicId = (kind: IdKind) => z.string().regex(new RegExp(idPattern(kind)));

/** RFC 3339 in UTC. */
export const time = z.iso.datetime();

export const count = z.int().min(0);

/** An HTTP status that a receiver answered with. */
export const receiverStatus = z.int().min(100).max(999);

/** One page of a list; `next_cursor` is null on the last one. */
export const listOf = <Item extends z.ZodType>(item: Item, kind: IdKind) =>
  z.strictObject({ data: z.array(item), next_cursor: publicId(kind).nullable() });
