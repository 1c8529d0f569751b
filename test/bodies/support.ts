import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { TestApi } from '../support/api';
import type { ReceivedRequest } from '../support/receiver';

/** Data as producers write it, each with something that parsing and printing changes. */
export const DATA = [
  '{"n":1}',
  '{ "a" : 1 , "b" : [ 1 , 2 , { } ] }',
  '{\r\n\t"text": "a \\"b\\" , { } : \\\\",\n  "next": "\\\\\\" "\n}',
  '{"id": 12345678901234567890, "price": 1.0, "e": 1E2, "z": -0}',
  '{"b": 1, "10": 2, "9": 3, "b": 4}',
  '{"__proto__": {"x": 1}, "constructor": "c"}',
  '{"s": "\\u00e9\\/\\ud83e\\udd8a é 🦊", "half": "\\ud800"}',
  '{"huge": 1e400, "deep": {"a": {"b": {"c": [ [ [ ] ] ]}}}}',
  '{}',
];

/** Publishes data byte for byte; the event's id. */
export async function publishRaw(api: TestApi, type: string, data: string): Promise<string> {
  const answer = await api.call('POST', '/events', `{"type":"${type}","data":${data}}`);
  if (answer.status !== 202) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body.id;
}

export const textOf = ({ body }: Pick<ReceivedRequest, 'body'>) => body.toString('utf8');

/** What `X-Webhook-Signature` is for this body. */
export const xWebhook = (secret: string, body: string | Buffer) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

/** Fails unless both signatures are right for the body as it came. */
export function expectSigned(secret: string, { headers, body }: ReceivedRequest): void {
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  new Webhook(secret).verify(body.toString('utf8'), given);
  expect(given['x-webhook-signature']).toBe(xWebhook(secret, body));
}
