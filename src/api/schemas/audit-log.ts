import { z } from 'zod';
import { parsePublicId } from '../../domain/ids';
import { pageOf, storableText, timeWindow } from './common';

/** `key_…` as it stands in the log, or the name of an actor that is no key. */
const actor = storableText(1, 100).transform((text) => parsePublicId('apiKey', text) ?? text);

export const listAuditQuery = z.strictObject({
  ...pageOf('audit'),
  ...timeWindow,
  action: storableText(1, 100).optional(),
  target: storableText(1, 100).optional(),
  actor: actor.optional(),
});
