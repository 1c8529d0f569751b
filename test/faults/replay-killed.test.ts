import { makeFailed } from '../support/failed';
import { startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { attemptsOf, createSite, repeated } from './support';

jest.setTimeout(180_000);

const COUNT = 100;
const LIMIT_MS = 90_000;

test('a bulk replay whose worker is killed goes on in another, and puts nothing into the queue twice', async () => {
  const site = await createSite();
  const receiver = await startReceiver();
  try {
    const api = await site.startApi();
    const killed = await site.startWorker();
    const failed = await makeFailed({ api, databaseUrl: site.env.DATABASE_URL! }, receiver, COUNT);
    await failed.resume();
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const { id } = await api.ok('POST', `/webhooks/${failed.webhook}/replay`, { since, rate_limit: '20/1s' });
    await receiver.waitFor(COUNT / 5);
    await killed.kill9();
    const before = await api.ok('GET', `/replays/${id}`);
    expect(before).toMatchObject({ status: 'running', source: 'database' });
    expect(before.sent).toBeLessThan(COUNT);

    await site.startWorker();
    const ended = await until(
      'the replay to be completed',
      async () => {
        const replay = await api.ok('GET', `/replays/${id}`);
        return replay.status === 'completed' && replay;
      },
      LIMIT_MS,
    );
    expect(ended).toMatchObject({ total: COUNT, sent: COUNT, skipped: 0 });
    await until(
      'all to be sent',
      async () => (await site.query('select 1 from delivery_queue limit 1')).length === 0,
      LIMIT_MS,
    );
    // Each has one second attempt. A POST that was under way at the death may have been made again, under its number.
    const recorded = await site.query('select number, count(*)::int as n from attempts group by 1 order by 1');
    expect(recorded).toEqual([
      { number: 1, n: COUNT },
      { number: 2, n: COUNT },
    ]);
    const sent = attemptsOf(receiver.requests);
    expect([...new Set(sent)].sort()).toEqual(failed.events.map((event) => `${event} attempt 2`).sort());
    expect(repeated(sent).length).toBeLessThanOrEqual(COUNT / 5);
  } finally {
    await site.stop();
    await receiver.close();
  }
});
