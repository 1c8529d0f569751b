import { checkAll } from '../../chaos/checks/all';
import type { Call } from '../../chaos/client';
import type { Arrival } from '../../chaos/endpoints';
import type { Evidence } from '../../chaos/evidence';
import type { Deed, Hook, Publish } from '../../chaos/ledger';
import type { RecordedAttempt, RecordedDelivery } from '../../chaos/record';
import type { Life } from '../../chaos/roles';

/** Each check of the storm finds what it is for, and says nothing of what is right. Times are milliseconds. */

const call = (at: number, status: number | undefined, body?: unknown): Call => ({
  ...{ at, answeredAt: at + 10, api: 0, method: 'POST', path: '/x' },
  ...(status !== undefined && { status }),
  ...(body !== undefined && { body }),
});
const post = (over: Partial<Arrival> = {}): Arrival => ({
  ...{ n: 0, hook: 'h', urlVersion: 0, eventId: 'evt_1', deliveryId: 'del_1', attempt: 1, source: 'w1', at: 1_100 },
  ...{ completeAt: 1_101, answered: { status: 204, at: 1_102 }, aimed: 204, verifiesWith: [0], mark: 'm0' },
  ...over,
});
const attempt = (over: Partial<RecordedAttempt> = {}): RecordedAttempt => ({
  ...{ deliveryId: 'del_1', number: 1, startedAt: 1_099, durationMs: 3, outcome: 'delivered' },
  ...{ statusCode: 204, errorCode: null },
  ...over,
});
const deed = (action: string, target: string, made: Call): Deed => ({ action, tenant: 0, target, call: made });
const delivery = (over: Partial<RecordedDelivery> = {}): RecordedDelivery => ({
  ...{ id: 'del_1', eventId: 'evt_1', webhookId: 'wh_1', tenantId: 't', state: 'delivered', attemptCount: 1 },
  ...{ failedBecause: null, endedAt: 1_200, queued: null },
  ...over,
});
const life = (over: Partial<Life> = {}): Life => ({
  ...{ role: 'worker-1', n: 1, address: 'w1', logFile: '', startedAt: 0, stops: [] },
  ...over,
});

/** One event, published, sent, recorded and delivered. */
function clean() {
  const made = { askedAt: 0, answeredAt: 10, done: true };
  const hook: Hook = {
    ...{ name: 'h', kind: 'fast', tenant: 0, id: 'wh_1', urls: [made], gates: [] },
    secrets: [{ ...made, grace: true }],
  };
  const publish: Publish = {
    ...{ n: 0, tenant: 0, marks: ['m0'], type: 'chaos.fast', flavour: 'key' },
    calls: [call(1_000, 202)],
    accepted: new Map([['m0', { id: 'evt_1', deliveries: 1 }]]),
  };
  return {
    ledger: { publishes: [publish], hooks: [hook], deeds: [] as Deed[], badAnswers: [] as Call[] },
    arrivals: [post()],
    record: {
      events: [{ id: 'evt_1', mark: 'm0' }],
      deliveries: [delivery()],
      attempts: [attempt()],
      audit: [] as Evidence['record']['audit'],
      idleInTransaction: [] as string[],
    },
    faults: [] as Evidence['faults'][number][],
    openWorkflows: [] as string[],
    lives: [life(), life({ address: 'w2', role: 'worker-2' })],
    keyIds: ['key_1'],
    tenantIds: ['t'],
  };
}
type Clean = ReturnType<typeof clean>;

const line = (action: string, target: string) => ({ tenantId: 't', actor: 'key_1', action, target, at: 0 });
const found = (change: (evidence: Clean) => void) => {
  const evidence = clean();
  change(evidence);
  return checkAll(evidence).violations.map(({ check }) => check);
};

test('what is right has no violation', () => {
  expect(checkAll(clean())).toEqual({ violations: [], explained: [] });
});

const WRONG: [name: string, checks: string[], change: (evidence: Clean) => unknown][] = [
  ['an accepted event is gone', ['lost'], ({ record }) => void record.events.pop()],
  [
    'an accepted event has fewer deliveries than was said',
    ['lost'],
    ({ ledger }) => void ledger.publishes[0]!.accepted.set('m0', { id: 'evt_1', deliveries: 2 }),
  ],
  [
    'a delivery counts as delivered, and no endpoint has taken it',
    ['lost', 'attempt_without_post'],
    ({ arrivals }) => void arrivals.pop(),
  ],
  [
    'a delivery has not ended',
    ['stuck'],
    ({ record }) => {
      record.deliveries = [delivery({ state: 'pending', queued: '{}' })];
    },
  ],
  [
    'a request with a key had no answer in the end',
    ['stuck'],
    ({ ledger }) => void ledger.publishes[0]!.calls.push(call(1_050, undefined)),
  ],
  ['a workflow never ends', ['stuck'], ({ openWorkflows }) => void openWorkflows.push('del_1')],
  [
    'a key is held though no api has died',
    ['key_held'],
    ({ ledger }) => void ledger.publishes[0]!.calls.unshift(call(-40_000, 409), call(-1_000, 409)),
  ],
  [
    'one key became two events',
    ['published_twice'],
    ({ record }) => void record.events.push({ id: 'evt_2', mark: 'm0' }),
  ],
  [
    'a delivery has failed before its attempts were used up',
    ['fate'],
    ({ record }) => {
      record.deliveries = [delivery({ state: 'failed', failedBecause: 'exhausted' })];
    },
  ],
  [
    'a delivery is cancelled, and nobody did it',
    ['fate'],
    ({ record }) => {
      record.deliveries = [delivery({ state: 'cancelled' })];
    },
  ],
  [
    'a number is POSTed twice while its sender lives',
    ['duplicate', 'unrecorded_post'],
    ({ arrivals }) => void arrivals.push(post({ n: 1, at: 1_500, source: 'w2' })),
  ],
  [
    'a number is POSTed twice, and its sender died long after',
    ['duplicate', 'unrecorded_post'],
    ({ arrivals, lives }) => {
      lives[0]!.ended = { at: 60_000, how: 'kill9' };
      arrivals.push(post({ n: 1, at: 61_000, source: 'w2' }));
    },
  ],
  [
    'a number that its dead sender has recorded is POSTed again',
    ['duplicate', 'unrecorded_post'],
    ({ arrivals, lives }) => {
      lives[0]!.ended = { at: 1_300, how: 'kill9' };
      arrivals.push(post({ n: 1, at: 8_000, source: 'w2' }));
    },
  ],
  [
    'the worker that was stopped sends what another has sent meanwhile',
    ['duplicate', 'unrecorded_post'],
    ({ arrivals, lives }) => {
      lives[0]!.stops = [{ from: 1_050, until: 36_000 }];
      arrivals.unshift(post({ n: 1, at: 1_000, source: 'w2' }));
      arrivals[1]!.at = 36_010;
    },
  ],
  [
    'what was taken is sent again under the next number',
    ['delivered_twice'],
    ({ arrivals, record }) => {
      arrivals.push(post({ n: 1, attempt: 2, at: 2_000 }));
      record.attempts.push(attempt({ number: 2, startedAt: 1_999 }));
      record.deliveries[0]!.attemptCount = 2;
    },
  ],
  [
    'a POST stands nowhere',
    ['unrecorded_post'],
    ({ arrivals }) => void arrivals.unshift(post({ n: 1, attempt: 2, at: 900, answered: { status: 503, at: 901 } })),
  ],
  [
    'an attempt has another answer than the endpoint gave',
    ['attempt_without_post'],
    ({ record }) => {
      record.attempts[0]!.statusCode = 200;
    },
  ],
  ['the count is not the list’s', ['count'], ({ record }) => Object.assign(record.deliveries[0]!, { attemptCount: 2 })],
  [
    'a request begins after the cancel was answered',
    ['sent_after_cancel'],
    ({ ledger, record, arrivals }) => {
      ledger.deeds.push(deed('delivery.cancel', 'del_1', call(1_010, 202)));
      record.audit.push(line('delivery.cancel', 'del_1'));
      arrivals[0]!.at = 34_000;
      record.attempts[0]!.startedAt = 33_999;
    },
  ],
  ['a signature is not ours', ['signature'], ({ arrivals }) => void arrivals[0]!.verifiesWith.pop()],
  [
    'a secret had been replaced',
    ['signature'],
    ({ ledger }) => {
      Object.assign(ledger.hooks[0]!.secrets[0]!, { askedAt: -40_000, answeredAt: -39_000 });
      ledger.hooks[0]!.secrets.push({ askedAt: -30_000, answeredAt: -29_000, done: true, grace: false });
    },
  ],
  [
    'a URL had been replaced',
    ['old_url'],
    ({ ledger }) => {
      Object.assign(ledger.hooks[0]!.urls[0]!, { askedAt: -40_000, answeredAt: -39_000 });
      ledger.hooks[0]!.urls.push({ askedAt: -30_000, answeredAt: -29_000, done: true });
    },
  ],
  [
    'a paused webhook gets a request',
    ['sent_while_paused'],
    ({ ledger }) =>
      void ledger.hooks[0]!.gates.push({ askedAt: -30_000, answeredAt: -29_000, done: true, to: 'paused' }),
  ],
  [
    'a deleted webhook gets a request',
    ['sent_after_delete'],
    ({ ledger }) => {
      ledger.hooks[0]!.deleted = { askedAt: -30_000, answeredAt: -29_000, done: true };
    },
  ],
  [
    'what was refused is in the audit log',
    ['audit'],
    ({ ledger, record }) => {
      ledger.deeds.push(deed('delivery.reschedule', 'del_1', call(1_010, 409)));
      record.audit.push(line('delivery.reschedule', 'del_1'));
    },
  ],
  [
    'what was done is in the audit log twice',
    ['audit'],
    ({ ledger, record }) => {
      ledger.deeds.push(deed('delivery.retry', 'del_1', call(1_010, 202)));
      record.audit.push(line('delivery.retry', 'del_1'), line('delivery.retry', 'del_1'));
    },
  ],
  [
    'what was done is not in the audit log',
    ['audit'],
    ({ ledger }) => void ledger.deeds.push(deed('webhook.pause', 'wh_1', call(1_010, 200))),
  ],
  ['an api answers 500', ['bad_answer'], ({ ledger }) => void ledger.badAnswers.push(call(1, 500))],
  [
    'a session was left in a transaction',
    ['idle_in_transaction'],
    ({ record }) => void record.idleInTransaction.push('posthorn-api: begin'),
  ],
  [
    'a process ended by itself',
    ['role_ended'],
    ({ lives }) => {
      lives[1]!.ended = { at: 5_000, how: 'by itself' };
    },
  ],
];

test.each(WRONG)('%s: %j', (_, checks, change) => {
  expect(found(change).sort()).toEqual([...checks].sort());
});

test('an ordered webhook gets a later event before an earlier one', () => {
  const out = found(({ ledger, record, arrivals }) => {
    Object.assign(ledger.hooks[0]!, { kind: 'ordered' });
    Object.assign(ledger.publishes[0]!, { type: 'chaos.ordered' });
    ledger.publishes.push({
      ...ledger.publishes[0]!,
      ...{
        n: 1,
        marks: ['m1'],
        calls: [call(1_050, 202)],
        accepted: new Map([['m1', { id: 'evt_2', deliveries: 1 }]]),
      },
    });
    record.events.push({ id: 'evt_2', mark: 'm1' });
    record.deliveries.push(delivery({ id: 'del_2', eventId: 'evt_2' }));
    record.attempts.push(attempt({ deliveryId: 'del_2', startedAt: 1_069 }));
    arrivals.push(post({ n: 1, deliveryId: 'del_2', eventId: 'evt_2', at: 1_070 }));
  });
  expect(out).toEqual(['order']);
});

const EXPLAINED: [name: string, why: string, change: (evidence: Clean) => void][] = [
  [
    'its sender was killed before it was answered',
    'process_died',
    ({ lives, arrivals }) => {
      lives[0]!.ended = { at: 1_300, how: 'kill9' };
      delete arrivals[0]!.answered;
    },
  ],
  [
    'its sender was killed while Postgres did not take the record',
    'process_died',
    ({ lives, faults }) => {
      lives[0]!.ended = { at: 30_000, how: 'kill9' };
      faults.push({ kind: 'stop', target: 'postgres', from: 1_000, until: 29_000 });
    },
  ],
  [
    'its sender was stopped for longer than it is taken for alive',
    'stopped_too_long',
    ({ lives }) => {
      lives[0]!.stops = [{ from: 1_103, until: 70_000 }];
    },
  ],
];

test.each(EXPLAINED)('a number may come twice where %s', (_, why, change) => {
  const evidence = clean();
  change(evidence);
  evidence.arrivals.push(post({ n: 1, at: 75_000, source: 'w2', answered: { status: 204, at: 75_001 } }));
  evidence.record.attempts[0]!.startedAt = 74_999;
  expect(checkAll(evidence)).toMatchObject({ violations: [], explained: [{ why, deliveryId: 'del_1', attempt: 1 }] });
});

test.each([
  ['at once', 1_150, 1, 0],
  ['late', 9_000, 1, 2],
  ['twice', 1_150, 2, 4],
])('a number comes again after its connection was closed without an answer: %s', (_, at, times, violations) => {
  const evidence = clean();
  const first = evidence.arrivals[0]!;
  delete first.answered;
  Object.assign(first, { aimed: 'reset', closedAt: 1_140 });
  for (let n = 1; n <= times; n++)
    evidence.arrivals.push(post({ n, at: at + n, answered: { status: 204, at: at + n + 1 } }));
  const found = checkAll(evidence);
  expect(found.violations).toHaveLength(violations);
  if (violations === 0) expect(found.explained).toMatchObject([{ why: 'connection_closed', deliveryId: 'del_1' }]);
});

test('a retry that was asked for, and a cancel after which one was asked for, explain a POST', () => {
  const out = found(({ ledger, record, arrivals }) => {
    ledger.deeds.push(deed('delivery.cancel', 'del_1', call(1_200, 202)));
    ledger.deeds.push(deed('delivery.retry', 'del_1', call(5_000, 202)));
    record.audit.push(line('delivery.cancel', 'del_1'), line('delivery.retry', 'del_1'));
    arrivals.push(post({ n: 1, attempt: 2, at: 6_000 }));
    record.attempts.push(attempt({ number: 2, startedAt: 5_999 }));
    record.deliveries[0]!.attemptCount = 2;
  });
  expect(out).toEqual([]);
});
