import { readWebhookUrl } from '../domain/webhook-url';
import { EgressError } from './errors';

export interface Target {
  origin: string;
  path: string;
  secure: boolean;
}

/**
 * Where a webhook URL leads, in its normal form: those that were stored before there was one are brought into it here. https only unless `allowHttp`; no user name or password in it, which would be stored and
 * shown in clear and sent as a header nobody set.
 * @throws EgressError `invalid_url` or `insecure_scheme`
 */
export function parseTarget(url: string, settings: { allowHttp: boolean }): Target {
  const read = readWebhookUrl(url);
  if ('problem' in read) throw new EgressError('invalid_url');
  const { protocol, origin, pathname, search, username, password } = read.url;
  if (protocol !== 'https:' && protocol !== 'http:') throw new EgressError('invalid_url');
  if (username !== '' || password !== '') throw new EgressError('invalid_url');
  const secure = protocol === 'https:';
  if (!secure && !settings.allowHttp) throw new EgressError('insecure_scheme');
  return { origin, path: pathname + search, secure };
}
