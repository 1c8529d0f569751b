import fc from 'fast-check';
import { eventTypeProblem, matchingPatterns, patternProblem } from '../../src/domain/event-types';

const word = fc.stringMatching(/^[a-z0-9_-]{1,3}$/);
const type = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('.'));
const pattern = fc.oneof(
  fc.constant('*'),
  type,
  type.map((base) => `${base}.*`),
);

/** What a pattern means, said in another way than the code says it. */
function matches(subscribed: string, published: string): boolean {
  if (subscribed === '*' || subscribed === published) return true;
  return subscribed.endsWith('.*') && published.startsWith(subscribed.slice(0, -1));
}

test('a type matches exactly the patterns that are listed for it', () => {
  fc.assert(
    fc.property(type, pattern, (published, subscribed) => {
      expect(matchingPatterns(published).includes(subscribed)).toBe(matches(subscribed, published));
    }),
  );
});

test('every pattern that is listed may be subscribed to, and matches', () => {
  fc.assert(
    fc.property(type, (published) => {
      for (const listed of matchingPatterns(published)) {
        expect(patternProblem(listed)).toBeUndefined();
        expect(matches(listed, published)).toBe(true);
      }
    }),
  );
});

test('the patterns of a type with three words', () => {
  expect(matchingPatterns('order.item.added')).toEqual(['*', 'order.*', 'order.item.*', 'order.item.added']);
});

test.each(['order.created', 'a', 'a-b_c.9', 'x'.repeat(128)])('%s is an event type', (text) => {
  expect(eventTypeProblem(text)).toBeUndefined();
});

test.each([
  '',
  '.',
  'order.',
  '.created',
  'a..b',
  'Order.created',
  'order created',
  'ordér',
  'order.*',
  '*',
  'a\n',
  'x'.repeat(129),
])('%j is no event type', (text) => {
  expect(eventTypeProblem(text)).toEqual(expect.any(String));
});

test.each(['**', '*.created', 'order.*.x', 'order*', '.*', 'order.**', '', 'Order.*'])('%j is no pattern', (text) => {
  expect(patternProblem(text)).toEqual(expect.any(String));
});
