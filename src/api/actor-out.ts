import { toPublicId } from '../domain/ids';

const UUID = /^[0-9a-f-]{36}$/;

/** Who did something, as people see it: the id of an API key, or a word such as `cli`. */
export function toActorOut(actor: string): string {
  return UUID.test(actor) ? toPublicId('apiKey', actor) : actor;
}
