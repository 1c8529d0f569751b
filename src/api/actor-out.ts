import { toPublicId } from '../domain/ids';

const UUID = /^[0-9a-f-]{36}$/;

/** The actor of a line in the audit log, as the API shows it: the id of an API key, or a word such as `cli`. */
export function toActorOut(actor: string): string {
  return UUID.test(actor) ? toPublicId('apiKey', actor) : actor;
}
