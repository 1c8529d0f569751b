import { type Demo, deliveryOf, publish, publishMany, type Seen, until, untilStatus, withWebhook } from './tools';

type DeadLetter = { id: string; event_id: string; failed_because: string; last_status_code: number };
type Replay = { id: string; status: string; total: number | null; sent: number; source: string };

const FAILED = 500;
const RATE = '100/1s';
/** 500 deliveries that fail, and 500 that are sent again, at some 80 a second and more on an idle machine. */
const LIMIT_MS = 120_000;
/** Fails at once and for good, and goes on failing without consequences for the webhook. */
const FRAGILE = { retry_policy: { schedule: [] }, circuit_breaker: null, disable_after: null };

/** What failed for good is a dead letter with its reason, and can be sent again. */
export function deadLetterAndReplay(demo: Demo): Promise<Seen> {
  demo.receiver.down();
  return withWebhook(demo, FRAGILE, async (own) => {
    const delivery = await deliveryOf(own, await publish(own));
    await untilStatus(own, delivery, (s) => s.status === 'failed');
    const [letter] = await deadLetters(own);
    if (!letter) throw new Error('the failed delivery is no dead letter');
    own.receiver.up();
    await own.client('POST', '/dead-letters/replay', { webhook_id: own.webhook });
    await untilStatus(own, delivery, (s) => s.status === 'delivered');
    if ((await deadLetters(own)).length > 0) throw new Error('it was delivered and still is a dead letter');
    return {
      step: 'dead letter',
      seen: `${letter.failed_because}, status ${letter.last_status_code}; replayed and delivered, no dead letter left`,
    };
  });
}

/** A bulk replay keeps to its rate, shows its progress and stops when it is cancelled; another one takes up the rest. */
export function bulkReplayAndCancel(demo: Demo): Promise<Seen> {
  demo.receiver.down();
  return withWebhook(demo, FRAGILE, async (own) => {
    own.say(`  … publishing ${FAILED} events that fail`);
    const since = new Date().toISOString();
    const events = new Set(await publishMany(own, FAILED));
    await until(async () => (await countFailed(own)) === FAILED || undefined, `${FAILED} deliveries to fail`, LIMIT_MS);
    own.receiver.up();
    const replayed = () => own.receiver.arrivals.filter((a) => events.has(a.eventId) && a.attempt === 2);

    const first = await startReplay(own, since);
    const seen = await progress(own, first.id, ({ sent, status }) => status !== 'running' || sent >= FAILED / 3);
    await own.client('POST', `/replays/${first.id}/cancel`);
    const cancelled = await progress(own, first.id, ({ status }) => status === 'cancelled');
    if (cancelled.sent >= FAILED) throw new Error('the replay was over before it was cancelled');
    await until(() => replayed().length >= cancelled.sent || undefined, 'what was sent to arrive', LIMIT_MS);

    const second = await startReplay(own, since);
    const rest = await progress(own, second.id, ({ status }) => status === 'completed');
    await until(() => replayed().length >= FAILED || undefined, 'the rest to arrive', LIMIT_MS);
    await until(async () => (await countFailed(own)) === 0 || undefined, 'nothing to be failed', LIMIT_MS);
    const distinct = new Set(replayed().map(({ eventId }) => eventId)).size;
    if (distinct !== FAILED || replayed().length !== FAILED) throw new Error('an event was lost or sent twice');
    return {
      step: 'bulk replay',
      seen: `${seen.sent} of ${seen.total} sent (${seen.source}), cancelled at ${cancelled.sent}; the next one sent ${rest.sent}; ${distinct} arrived, each once`,
    };
  });
}

async function deadLetters({ client, webhook }: Demo): Promise<DeadLetter[]> {
  return (await client<{ data: DeadLetter[] }>('GET', `/dead-letters?webhook_id=${webhook}`)).data;
}

/** Deliveries of the demo's webhook in `failed`, page by page. */
async function countFailed({ client, webhook }: Demo): Promise<number> {
  let count = 0;
  let cursor: string | null = '';
  while (cursor !== null) {
    const page: { data: unknown[]; next_cursor: string | null } = await client(
      'GET',
      `/webhooks/${webhook}/deliveries?status=failed&limit=200${cursor && `&cursor=${cursor}`}`,
    );
    count += page.data.length;
    cursor = page.next_cursor;
  }
  return count;
}

function startReplay({ client, webhook }: Demo, since: string): Promise<Replay> {
  return client<Replay>('POST', `/webhooks/${webhook}/replay`, { since, rate_limit: RATE });
}

/** Prints a replay's progress until `there` returns true. */
async function progress({ client, say }: Demo, id: string, there: (replay: Replay) => boolean): Promise<Replay> {
  let shown = -1;
  return until(
    async () => {
      const replay = await client<Replay>('GET', `/replays/${id}`);
      if (replay.sent !== shown) say(`  … ${replay.status}: ${replay.sent} of ${replay.total ?? '?'} sent`);
      shown = replay.sent;
      return there(replay) ? replay : undefined;
    },
    'the replay to get there',
    LIMIT_MS,
  );
}
