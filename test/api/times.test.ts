import { makeFailed } from '../support/failed';
import { installationForFile, receiverForFile } from '../support/for-tests';
import { untilReplay } from './replay-support';
import { expectBadField, sql } from './support';

/** Whatever takes a time takes all of RFC 3339; and which time of a delivery a window bounds is said. */

const posthorn = installationForFile();
const receiver = receiverForFile();
const api = () => posthorn.api;

const TAKEN = [
  ...['2026-01-31T12:00:00Z', '2026-01-31t12:00:00z', '2026-01-31T12:00:00.123456789z', '2026-01-31T12:00:00-00:00'],
  ...['2026-01-31T12:00:00+05:45', '2016-12-31T23:59:60Z', '1998-12-31T15:59:60.5-08:00'],
];
const REFUSED = [
  ...[
    '2026-01-31T99:00:00Z',
    '2026-01-31 12:00:00Z',
    '2026-01-31T12:00:00',
    '2026-01-31T12:00:00+0100',
    '2026-02-30T00:00:00Z',
  ],
  ...['2016-12-31T12:00:60Z', '2026-01-31', '1769860800', ''],
];

test.each(['/deliveries', '/events', '/dead-letters', '/audit-log'])(
  '%s takes every time of RFC 3339',
  async (path) => {
    for (const time of TAKEN) {
      for (const name of ['since', 'until']) {
        expect([time, (await api().call('GET', `${path}?${name}=${encodeURIComponent(time)}`)).status]).toEqual([
          time,
          200,
        ]);
        // A plus that is not encoded arrives as a space.
        expect([time, (await api().call('GET', `${path}?${name}=${time}`)).status]).toEqual([time, 200]);
      }
    }
    for (const time of REFUSED) {
      expectBadField(await api().call('GET', `${path}?since=${encodeURIComponent(time)}`), 'since', /RFC 3339/);
    }
  },
);

test('so do bodies', async () => {
  const { id } = await api().createWebhook(receiver, { events: ['times.none'] });
  const [delivery] = (await makeFailed(posthorn, receiver, 1)).deliveries;
  for (const since of TAKEN) {
    expect(await api().call('POST', `/webhooks/${id}/replay`, { since })).toMatchObject({ status: 202 });
    expect(await api().call('POST', '/dead-letters/discard', { until: since })).toMatchObject({ status: 200 });
  }
  for (const time of [...REFUSED, 5, null]) {
    expectBadField(await api().call('POST', `/webhooks/${id}/replay`, { since: time }), 'since', /RFC 3339/);
    expectBadField(await api().call('POST', `/deliveries/${delivery}/reschedule`, { at: time }), 'at', /RFC 3339/);
    expectBadField(await api().call('POST', '/dead-letters/replay', { until: time }), 'until', /RFC 3339/);
  }
});

const MINUTE_MS = 60_000;
const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * MINUTE_MS).toISOString();

describe('failed at another time than it was published', () => {
  /** The deliveries of one webhook: failed 30, 3 and 1 minutes ago, as if they had been published before, the oldest first. */
  async function failedAt() {
    const failed = await makeFailed(posthorn, receiver, 3);
    const ids = await sql<{ id: string }>(
      posthorn,
      'select d.id from deliveries d join webhooks w on w.id = d.webhook_id where w.patterns = $1 order by d.id',
      [[failed.type]],
    );
    for (const [n, minutes] of [30, 3, 1].entries()) {
      await sql(posthorn, `update deliveries set failed_at = $2, ended_at = $2 where id = $1`, [
        ids[n]!.id,
        minutesAgo(minutes),
      ]);
    }
    return failed;
  }

  test.each<[what: string, window: () => object, replayed: number[]]>([
    ['what ended since', () => ({ since: minutesAgo(4), by: 'ended' }), [1, 2]],
    ['what ended between', () => ({ since: minutesAgo(4), until: minutesAgo(2), by: 'ended' }), [1]],
    ['nothing that ended after it', () => ({ since: minutesAgo(0.5), by: 'ended' }), []],
    ['all that was published since, whenever it failed', () => ({ since: minutesAgo(10), by: 'published' }), [0, 1, 2]],
    ['what was published since, unless it is said', () => ({ since: minutesAgo(10) }), [0, 1, 2]],
  ])('a replay finds %s', async (_, window, expected) => {
    const failed = await failedAt();
    await failed.resume();
    const asked = window();
    const begun = await api().ok('POST', `/webhooks/${failed.webhook}/replay`, asked);
    expect(begun).toMatchObject({ by: 'published', ...asked });
    const done = await untilReplay(posthorn as never, begun.id, 'completed', ({ status }) => status === 'completed');
    expect(done).toMatchObject({ total: expected.length, sent: expected.length });
    for (const n of expected) await api().untilStatus(failed.deliveries[n]!, 'delivered');
    const left = failed.deliveries.filter((_id, n) => !expected.includes(n));
    for (const id of left) expect(await api().delivery(id)).toMatchObject({ status: 'failed', attempt_count: 1 });
  });

  test('dead letters are listed, replayed and discarded by their end', async () => {
    const failed = await failedAt();
    const filter = `webhook_id=${failed.webhook}`;
    const listed = async (query: string) =>
      (await api().ok<{ data: { id: string }[] }>('GET', `/dead-letters?${filter}&${query}`)).data.map(({ id }) => id);
    const [oldest, middle, newest] = failed.deliveries;
    expect(await listed(`by=ended&since=${minutesAgo(4)}`)).toEqual([newest, middle]);
    expect(await listed(`by=ended&until=${minutesAgo(2)}&since=${minutesAgo(48)}`)).toEqual([middle, oldest]);
    expect(await listed(`by=published&since=${minutesAgo(10)}`)).toEqual([newest, middle, oldest]);
    expect(
      await api().ok('POST', '/dead-letters/discard', {
        webhook_id: failed.webhook,
        by: 'ended',
        until: minutesAgo(20),
      }),
    ).toMatchObject({ discarded: 1 });
    expect(await listed(`by=ended&since=${minutesAgo(48)}`)).toEqual([newest, middle]);
    await failed.resume();
    const begun = await api().ok('POST', '/dead-letters/replay', {
      webhook_id: failed.webhook,
      by: 'ended',
      since: minutesAgo(2),
    });
    const done = await untilReplay(posthorn as never, begun.id, 'completed', ({ status }) => status === 'completed');
    expect(done).toMatchObject({ total: 1, sent: 1 });
    await api().untilStatus(newest!, 'delivered');
    expectBadField(await api().call('GET', '/dead-letters?by=created'), 'by', /published/);
  });
});
