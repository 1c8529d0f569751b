import fc from 'fast-check';
import {
  ID_PREFIXES,
  type IdKind,
  newUuid,
  parsePublicId,
  toPublicId,
  uuidFloor,
  uuidTimeMs,
} from '../../src/domain/ids';

const kinds = Object.keys(ID_PREFIXES) as IdKind[];
const kind = fc.constantFrom(...kinds);
const uuid = fc.uuid();
/** Until the 48 bits of UUIDv7 run out, in the year 10889. */
const timeMs = fc.integer({ min: 0, max: 2 ** 48 - 1 });

test('a public id comes back as the uuid it was made of, with its own prefix', () => {
  fc.assert(
    fc.property(kind, uuid, (k, id) => {
      const text = toPublicId(k, id);
      expect(text.startsWith(`${ID_PREFIXES[k]}_`)).toBe(true);
      expect(parsePublicId(k, text)).toBe(id);
    }),
  );
});

test('an id of one kind is none of another', () => {
  for (const made of kinds) {
    const text = toPublicId(made, newUuid());
    expect(kinds.filter((read) => parsePublicId(read, text) !== undefined)).toEqual([made]);
  }
});

const good = 'evt_01h455vb4pex5vsknk084sn02q'; // The example of the TypeID specification, with our prefix.
test('the example of the TypeID specification', () => {
  expect(parsePublicId('event', good)).toBe('01890a5d-ac96-774b-bcce-b302099a8057');
});

test.each([
  ['another case', good.toUpperCase()],
  ['a suffix in another case', `evt_${good.slice(4).toUpperCase()}`],
  ['a character too few', good.slice(0, -1)],
  ['a character too many', `${good}0`],
  ['more than 128 bits', `evt_8${'z'.repeat(25)}`],
  ['a letter that Crockford leaves out', good.replace('q', 'u')],
  ['no suffix', 'evt_'],
  ['no prefix', good.slice(4)],
  ['a longer prefix', `evt_x_${good.slice(4)}`],
  ['a bare uuid', '01890a5d-ac96-774b-bcce-b302099a8057'],
  ['nothing', ''],
])('%s is no id', (_what, text) => {
  expect(parsePublicId('event', text)).toBeUndefined();
});

test('no text makes the parser throw', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(parsePublicId('event', `evt_${text}`) ?? newUuid()).toMatch(/^[0-9a-f-]{36}$/);
    }),
  );
});

test('a new uuid is a UUIDv7 of its time (RFC 9562)', () => {
  fc.assert(
    fc.property(timeMs, (atMs) => {
      const id = newUuid(atMs);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(uuidTimeMs(id)).toBe(atMs);
    }),
  );
  expect(newUuid(1)).not.toBe(newUuid(1));
});

test('ids sort by time, in text as in uuids, and the floor of a time is not above any of its ids', () => {
  fc.assert(
    fc.property(timeMs, timeMs, (a, b) => {
      fc.pre(a !== b);
      const [early, late] = [newUuid(Math.min(a, b)), newUuid(Math.max(a, b))];
      expect(early < late).toBe(true);
      expect(toPublicId('event', early) < toPublicId('event', late)).toBe(true);
      expect(uuidFloor(Math.max(a, b)) <= late).toBe(true);
      expect(uuidFloor(Math.max(a, b)) > early).toBe(true);
    }),
  );
});

test('a time before 1970 has the floor of the first one', () => {
  expect(uuidFloor(-5)).toBe('00000000-0000-0000-0000-000000000000');
});
