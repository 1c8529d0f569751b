import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { keyWeakness } from '../../src/crypto/weak-key';

const bytes = (at: (i: number) => number) => Buffer.from(Array.from({ length: 32 }, (_, i) => at(i) & 0xff));

test.each<[string, Buffer, RegExp]>([
  ['zeros', bytes(() => 0), /fewer than 16/],
  ['one byte', bytes(() => 0x61), /fewer than 16/],
  ['15 different bytes', bytes((i) => (i * 7) % 15), /fewer than 16/],
  ['0, 1, 2', bytes((i) => i), /counts/],
  ['from 255 down', bytes((i) => 255 - i), /counts/],
  ['by sevens', bytes((i) => 3 + 7 * i), /counts/],
  ['the example', Buffer.from('posthorn-example-key-do-not-use!'), /example/],
])('%s', (_what, key, why) => {
  expect(keyWeakness(key)).toMatch(why);
});

test('16 different bytes in no order, and random ones, are taken', () => {
  expect(keyWeakness(bytes((i) => (i * 5) % 16))).toBeUndefined();
  for (let n = 0; n < 1_000; n++) expect(keyWeakness(randomBytes(32))).toBeUndefined();
});

test('the example of the documentation is the one that is refused', () => {
  const page = readFileSync(path.join(__dirname, '..', '..', 'docs', 'operations.md'), 'utf8');
  const examples = [...page.matchAll(/\bk\d+:([A-Za-z0-9+/]{43}=)/g)].map(([, key]) => Buffer.from(key!, 'base64'));
  expect(examples.length).toBeGreaterThan(0);
  for (const example of examples) expect(keyWeakness(example)).toMatch(/example/);
});
