import { gzipSync } from 'node:zlib';
import { toShownBody } from '../../src/api/shown-body';
import { installationForFile, receiverForEach } from '../support/for-tests';

test.each<[string, Buffer, string | null, string]>([
  ['nothing', Buffer.alloc(0), null, ''],
  ['text', Buffer.from('taken, thank you'), null, 'taken, thank you'],
  ['text beyond US-ASCII', Buffer.from('reçu, merci 🎉'), null, 'reçu, merci 🎉'],
  ['a body cut in a character of two bytes', Buffer.from('reç').subarray(0, 3), 'body_too_large', 're'],
  ['a body cut in a character of three bytes', Buffer.from('ab€').subarray(0, 4), 'body_broken_off', 'ab'],
  ['a body cut in a character of four bytes', Buffer.from('ab🎉').subarray(0, 5), 'total_timeout', 'ab'],
  ['a body cut after a character', Buffer.from('ab€'), 'body_too_large', 'ab€'],
])('UTF-8 is shown as text: %s', (_, bytes, cut, text) => {
  expect(toShownBody(bytes, cut)).toEqual({ body: text, body_base64: null });
});

test('without an answer there is no body', () => {
  expect(toShownBody(null, null)).toEqual({ body: '', body_base64: null });
});

const NOT_UTF8: [string, Buffer, string | null][] = [
  ['ISO 8859-1', Buffer.from('caf\xe9', 'latin1'), null],
  ['ISO 8859-1, cut', Buffer.from('caf\xe9 au lait', 'latin1'), 'body_too_large'],
  ['UTF-16', Buffer.from('\ufefftaken', 'utf16le'), null],
  ['gzip', gzipSync('taken'), null],
  ['an image', Buffer.from('89504e470d0a1a0a', 'hex'), null],
  ['half a character in the middle', Buffer.from([0x61, 0xe2, 0x82, 0x61]), null],
  ['a surrogate, which UTF-8 has not', Buffer.from([0xed, 0xa0, 0x80]), null],
];

test.each(NOT_UTF8)('what is not UTF-8 is shown as its bytes, too: %s', (_, bytes, cut) => {
  const { body, body_base64 } = toShownBody(bytes, cut);
  expect(Buffer.from(body_base64!, 'base64').equals(bytes)).toBe(true);
  expect(body).toBe(bytes.toString('utf8'));
});

describe('an answer that is not UTF-8', () => {
  const installation = installationForFile();
  const receiver = receiverForEach();

  test.each(NOT_UTF8.filter(([, , cut]) => cut === null))('is kept as it came: %s', async (_, bytes) => {
    receiver.setHandler(() => ({ status: 200, body: bytes }));
    const { api } = installation;
    const webhook = await api.createWebhook(receiver, { events: ['body.answered'] });
    const event = await api.publish('body.answered');
    const id = await api.onlyDelivery(event.id);
    await api.untilStatus(id, 'delivered');
    const { body } = await api.call('GET', `/deliveries/${id}`);
    const [attempt] = (body as { attempts: { response: { body_base64: string } }[] }).attempts;
    expect(Buffer.from(attempt!.response.body_base64, 'base64').equals(bytes)).toBe(true);
    await api.call('DELETE', `/webhooks/${webhook.id}`);
  });
});
