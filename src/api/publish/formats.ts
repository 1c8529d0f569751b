import { fullFormats } from 'ajv-formats/dist/formats';
import { type FormatChecks, MAX_FORMATTED, OWN_FORMATS } from '../../domain/data-formats';

/** A format of Ajv's own package, of texts whose length keeps its regular expression cheap. */
function ofAjv(name: keyof typeof MAX_FORMATTED | 'json-pointer', limit = Number.POSITIVE_INFINITY) {
  const check = fullFormats[name];
  if (typeof check === 'function') return (text: string) => text.length <= limit && check(text);
  if (check instanceof RegExp) return (text: string) => text.length <= limit && check.test(text);
  throw new TypeError(`ajv-formats checks ${name} in a way of its own`);
}

/** Every format that a data schema may ask for (../../domain/data-schema.ts). */
export const FORMAT_CHECKS: FormatChecks = {
  ...OWN_FORMATS,
  email: ofAjv('email', MAX_FORMATTED.email),
  hostname: ofAjv('hostname', MAX_FORMATTED.hostname),
  ipv4: ofAjv('ipv4', MAX_FORMATTED.ipv4),
  ipv6: ofAjv('ipv6', MAX_FORMATTED.ipv6),
  uri: ofAjv('uri', MAX_FORMATTED.uri),
  'uri-reference': ofAjv('uri-reference', MAX_FORMATTED['uri-reference']),
  duration: ofAjv('duration', MAX_FORMATTED.duration),
  'json-pointer': ofAjv('json-pointer'),
};
