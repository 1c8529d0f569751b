import { randomBytes } from 'node:crypto';
import { send } from '../api/support';
import type { Answer, TestApi } from '../support/api';
import { posthorn } from '../support/cli';
import { readable } from '../support/histories';
import { type Receiver, startReceiver } from '../support/receiver';
import { connectTemporal } from '../support/temporal';
import { until } from '../support/until';
import { createSite, type Site } from './support';

/**
 * Everything that Posthorn does, with markers planted in all that is nobody's business; then every place where they
 * must not be is searched for them: what the processes wrote, what Temporal keeps, what errors say, what is at rest.
 */

jest.setTimeout(180_000);
const LIMIT_MS = 60_000;

const secret = (text: string) => `whsec_${Buffer.from(`${text} 0123456789 abcdefgh`).toString('base64')}`;
const MARKERS = {
  secret: secret('planted-secret'),
  rotatedSecret: secret('planted-rotated'),
  refusedSecret: `whsec_${Buffer.from('planted').toString('base64')}`,
  header: 'planted-header-value',
  data: 'planted-data',
  producerId: 'planted-producer-id',
  path: 'planted-path',
  query: 'planted-query',
  responseBody: 'planted-response-body',
  responseHeader: 'planted-response-header',
  description: 'planted-description',
  metadata: 'planted-metadata',
  /** In requests that are refused. */
  input: 'planted-input',
  wrongKey: `ph_test_${'planted'.repeat(7).slice(0, 43)}`,
};
/** What must not stand in clear anywhere at rest either. */
const SEALED = ['secret', 'rotatedSecret', 'header'] as const;

/** Which of the markers a text holds, in any of the forms in which they might get there. */
function found(text: string, markers: Record<string, string>): string[] {
  return Object.entries(markers).flatMap(([name, marker]) => {
    const bare = marker.replace(/^whsec_/, '');
    const forms = [bare, encodeURIComponent(bare), Buffer.from(bare).toString('hex')];
    return forms.some((form) => text.includes(form)) ? [name] : [];
  });
}

let site: Site;
let api: TestApi;
let receiver: Receiver;
let temporal: Awaited<ReturnType<typeof connectTemporal>>;
const problems: Answer[] = [];

beforeAll(async () => {
  temporal = await connectTemporal();
  receiver = await startReceiver();
  site = await createSite({}, undefined, 'debug');
  api = await site.startApi();
  await site.startWorker();
});
afterAll(async () => {
  await site?.stop();
  await receiver?.close();
  await temporal?.close();
});

/** Every marker, with the keys of this very installation. */
function markers(): Record<string, string> {
  const { POSTHORN_BOOTSTRAP_KEY: apiKey, POSTHORN_ENCRYPTION_KEYS: keyring = '' } = site.env;
  return { ...MARKERS, apiKey, encryptionKey: keyring.split(':')[1]! };
}

const SAYS = { headers: { 'x-answer': MARKERS.responseHeader }, body: MARKERS.responseBody };

function settings(type: string, more: object = {}) {
  return {
    url: `${receiver.url}/${MARKERS.path}/${type}?token=${MARKERS.query}`,
    events: [type],
    secret: MARKERS.secret,
    headers: { 'X-Own': MARKERS.header },
    description: MARKERS.description,
    metadata: { note: MARKERS.metadata },
    retry_policy: { schedule: ['100ms'], jitter: 0 },
    ...more,
  };
}
const webhook = (type: string, more?: object) =>
  api.ok<{ id: string }>('POST', '/webhooks', settings(type, more)).then(({ id }) => id);
let published = 0;
async function publish(type: string): Promise<{ event: string; delivery: string }> {
  const id = `${MARKERS.producerId}-${++published}`;
  const { id: event } = await api.ok('POST', '/events', { type, id, data: { private: MARKERS.data } });
  return { event, delivery: await api.onlyDelivery(event) };
}
const act = (path: string, body?: object) => api.ok('POST', path, body);

test('whatever happens, nothing that was planted gets where it does not belong', async () => {
  receiver.setHandler(({ path, method }) => {
    const type = /\/([a-z]+\.[a-z.]+)\?/.exec(path)?.[1];
    if (method !== 'POST') return { status: 404, ...SAYS };
    if (type?.startsWith('goes.well')) return { status: 200, ...SAYS };
    if (type?.startsWith('hangs.on')) return 'hang';
    if (type?.startsWith('breaks.off')) return 'reset';
    return { status: type?.startsWith('is.gone') ? 410 : 500, ...SAYS };
  });

  await deliverAndControl();
  await misbehave();
  await deliverByExpress();
  await sendBadRequests();
  await loseTheDatabase();
  const paths = await site.query(`select path, state from deliveries where attempt_count > 0 and state <> 'pending'`);
  // What the express path brought to its end has no workflow.
  const known = paths.filter(({ path }) => path !== 'express');
  const texts = await historiesOf(known.length);
  const atRest = await tables();
  await site.halt();

  // What is looked through holds what it should: it is neither empty nor unreadable.
  const output = site.output();
  const events = new Set(output.flatMap((line) => /"event":"(\w+)"/.exec(line)?.[1] ?? []));
  expect([...events]).toEqual(
    expect.arrayContaining([
      'request',
      'attempt',
      'verification',
      'unexpected_error',
      'webhook_disabled',
      'api_ready',
      'express_failed',
    ]),
  );
  expect(texts.join('\n')).toContain('goes.well → 127.0.0.1');
  expect(texts.join('\n')).toContain('goes.badly.express → 127.0.0.1');
  expect(texts.join('\n')).not.toContain('goes.well.express');
  expect(texts.join('\n')).toContain('bulkReplay');
  expect(texts.join('\n')).toContain('verifyEndpoint');
  expect(problems.length).toBeGreaterThan(50);

  expect(output.filter((line) => found(line, markers()).length > 0)).toEqual([]);
  expect(texts.flatMap((text) => found(text, markers()))).toEqual([]);
  expect(problems.flatMap(({ body }) => (found(JSON.stringify(body), markers()).length > 0 ? [body] : []))).toEqual([]);
  const sealed = Object.fromEntries(SEALED.map((name) => [name, MARKERS[name]]));
  const kept = { ...sealed, apiKey: markers().apiKey!, encryptionKey: markers().encryptionKey! };
  expect(found(atRest.all, { data: MARKERS.path })).toEqual(['data']);
  expect(found(atRest.all, kept)).toEqual([]);
  expect(found(atRest.auditLog, markers())).toEqual([]);
});

test('a command that cannot run says why without what it was given', async () => {
  const planted = { ...site.env, POSTHORN_LOG_LEVEL: 'debug' };
  const hidden = 'planted-in-a-setting';
  const broken: Record<string, string>[] = [
    { DATABASE_URL: `postgres://someone:${hidden}@127.0.0.1:1/events` },
    { DATABASE_URL: `mysql://someone:${hidden}@127.0.0.1/events` },
    { POSTHORN_ENCRYPTION_KEYS: hidden },
    { POSTHORN_ENCRYPTION_KEYS: `k1:${hidden}` },
    { POSTHORN_BOOTSTRAP_KEY: hidden },
    { TEMPORAL_TLS: hidden },
  ];
  for (const change of broken) {
    const { code, stdout, stderr } = await posthorn(['api'], { ...planted, ...change });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^posthorn: /);
    expect(found(stderr, { ...markers(), hidden })).toEqual([]);
  }
});

async function deliverAndControl(): Promise<void> {
  const well = await webhook('goes.well');
  const first = await publish('goes.well');
  await api.untilStatus(first.delivery, 'delivered', LIMIT_MS);
  await act(`/deliveries/${first.delivery}/retry`);
  await until('the second attempt', async () => (await api.delivery(first.delivery)).attempt_count === 2, LIMIT_MS);
  await act(`/events/${first.event}/replay`);
  await act(`/webhooks/${well}/verify?wait=true`);
  await act(`/webhooks/${well}/secret/rotate`, { secret: MARKERS.rotatedSecret });
  await api.ok('GET', `/webhooks/${well}/secret`);
  await act(`/webhooks/${well}/pause`);
  const held = await publish('goes.well');
  await act(`/deliveries/${held.delivery}/cancel`);
  await act(`/webhooks/${well}/resume`);
  await api.ok('PATCH', `/webhooks/${well}`, { url: settings('goes.well').url, headers: { 'X-Own': MARKERS.header } });

  const badly = await webhook('goes.badly');
  const failed = await publish('goes.badly');
  await api.untilStatus(failed.delivery, 'failed', LIMIT_MS);
  await act(`/deliveries/${failed.delivery}/retry`);
  await api.untilStatus(failed.delivery, 'failed', LIMIT_MS);
  const since = new Date(Date.now() - 3_600_000).toISOString();
  for (const path of [`/webhooks/${badly}/replay`, '/dead-letters/replay']) {
    const { id } = await act(path, { since });
    await until(
      'the replay to end',
      async () => (await api.ok('GET', `/replays/${id}`)).status !== 'running',
      LIMIT_MS,
    );
    await api.untilStatus(failed.delivery, 'failed', LIMIT_MS);
  }
  await act('/dead-letters/discard', { since });

  const slowly = await webhook('comes.later', { retry_policy: { schedule: ['1h', '1h'] } });
  const waiting = await publish('comes.later');
  await api.untilStatus(waiting.delivery, 'retrying', LIMIT_MS);
  await act(`/deliveries/${waiting.delivery}/reschedule`, { at: new Date(Date.now() + 7_200_000).toISOString() });
  await api.ok('GET', `/deliveries/${waiting.delivery}/status`);
  await act(`/deliveries/${waiting.delivery}/cancel`);
  await api.untilStatus(waiting.delivery, 'cancelled', LIMIT_MS);
  await act(`/webhooks/${slowly}/disable`);
  await act(`/webhooks/${slowly}/enable`);
  await api.ok('DELETE', `/webhooks/${slowly}`);
}

/** Endpoints that hang, break off, are gone, or are not there; and one that may not be reached. */
async function misbehave(): Promise<void> {
  await webhook('hangs.on', { timeout: '3s', retry_policy: { schedule: [] } });
  await webhook('breaks.off');
  await webhook('is.gone');
  await webhook('not.there', { url: `http://127.0.0.1:1/${MARKERS.path}?token=${MARKERS.query}` });
  await webhook('no.name', { url: `http://planted-path.invalid/${MARKERS.path}?token=${MARKERS.query}` }).catch(
    () => '',
  );
  const blocked = await webhook('is.blocked');
  await site.query(`update webhooks set url = 'http://10.0.0.1/${MARKERS.path}?t=${MARKERS.query}'
    where patterns = '{is.blocked}'`);
  await act(`/webhooks/${blocked}/verify?wait=true`);
  for (const type of ['hangs.on', 'breaks.off', 'is.gone', 'not.there', 'is.blocked']) {
    await api.untilStatus((await publish(type)).delivery, 'failed', LIMIT_MS);
  }
}

/** The same endpoints once more, by the express path; and one whose secret cannot be opened. */
async function deliverByExpress(): Promise<void> {
  const express = { mode: 'express' };
  await webhook('goes.well.express', express);
  const { delivery } = await publish('goes.well.express');
  await api.untilStatus(delivery, 'delivered', LIMIT_MS);
  await act(`/deliveries/${delivery}/retry`);
  await until('the second attempt', async () => (await api.delivery(delivery)).attempt_count === 2, LIMIT_MS);

  await webhook('goes.badly.express', express);
  await webhook('hangs.on.express', { ...express, timeout: '1s', retry_policy: { schedule: [] } });
  await webhook('breaks.off.express', express);
  await webhook('is.gone.express', express);
  await webhook('is.blocked.express', express);
  await site.query(`update webhooks set url = 'http://10.0.0.1/${MARKERS.path}?t=${MARKERS.query}'
    where patterns = '{is.blocked.express}'`);
  for (const type of ['goes.badly', 'hangs.on', 'breaks.off', 'is.gone', 'is.blocked']) {
    await api.untilStatus((await publish(`${type}.express`)).delivery, 'failed', LIMIT_MS);
  }

  const unreadable = await webhook('has.a.broken.secret', express);
  await site.query(`update webhook_secrets set sealed = substr(sealed, 1, length(sealed) - 4) || 'AAAA'
    where webhook_id = (select webhook_id from subscriptions where pattern = 'has.a.broken.secret')`);
  await publish('has.a.broken.secret');
  await until('the trouble to be told', () => site.output().some((line) => line.includes('"event":"express_failed"')));
  await api.ok('DELETE', `/webhooks/${unreadable}`);
}

/** Requests that are refused, each with something planted in it that an error might repeat. */
async function sendBadRequests(): Promise<void> {
  const { input } = MARKERS;
  const note = async (answer: Promise<Answer>) => {
    const noted = await answer;
    if (noted.status < 400) throw new Error(`was not refused: ${JSON.stringify(noted.body)}`);
    problems.push(noted);
  };
  const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
    note(api.call(method, path, body, headers));

  const badSettings: object[] = [
    { url: input },
    { url: `ftp://example.com/${input}` },
    { url: `https://${input}:${input}@example.com/` },
    { url: `http://10.0.0.1/${input}` },
    { url: `https://example.com/${input.repeat(200)}` },
    { events: [`${input}!`] },
    { events: input },
    { secret: input },
    { secret: MARKERS.refusedSecret },
    { description: input.repeat(100) },
    { description: `${input}\0` },
    { active: input },
    { metadata: { note: [input] } },
    { metadata: input },
    { headers: { 'X-Own': `${input}\r\nX-More: 1` } },
    { headers: { Host: input } },
    { headers: { 'X-Own': [input] } },
    { timeout: input },
    { retry_policy: { preset: input } },
    { retry_policy: { schedule: [input] } },
    { retry_policy: input },
    { signature_styles: [input] },
    { rate_limit: input },
    { max_in_flight: input },
    { ordered: input },
    { circuit_breaker: { window: input } },
    { disable_after: { failing_for: input } },
  ];
  for (const bad of badSettings) await call('POST', '/webhooks', settings('goes.well', bad));
  const { data } = await api.ok('GET', '/webhooks?limit=1');
  const at = `/webhooks/${data[0].id}`;
  await call('PATCH', at, { version: input, description: input });
  await call('PATCH', at, { description: input, version: 99 });
  await call('PATCH', at, { description: input }, { 'if-match': input });
  await call('POST', `${at}/secret/rotate`, { secret: input });
  await call('POST', `${at}/secret/rotate`, { grace: input });
  await call('POST', `${at}/replay`, { since: input });
  await call('POST', `${at}/verify?wait=${input}`);
  await call('POST', '/dead-letters/replay', {
    since: '2026-01-01T00:00:00Z',
    event_type: `${input}!`,
    webhook_id: input,
  });
  await call('PATCH', '/settings', { endpoint_verification: input });

  for (const bad of [
    { type: `${input}!`, data: {} },
    { type: 'goes.well', data: {}, id: input.repeat(50) },
    { type: 'goes.well', data: {}, version: [input] },
    { type: 'goes.well', data: {}, priority: input },
    { type: 'goes.well', id: input },
    { type: 'posthorn.webhook.disabled', data: input },
    [input],
    input,
    `{"type":"goes.well","data":{"private":"${input}`,
    `{"type":"goes.well","data":${input}}`,
    { type: 'goes.well', data: input.repeat(100_000) },
  ]) {
    await call('POST', '/events', bad);
  }
  await call('POST', '/events', `type=${input}`, { 'content-type': `text/plain; charset=${input}` });
  await call('POST', '/events', '{}', { 'content-type': `application/json; charset=${input}` });

  for (const path of [
    `/webhooks/${input}`,
    `/webhooks?cursor=${input}`,
    `/webhooks?limit=${input}`,
    `/deliveries/${input}`,
    `/deliveries?status=${input}`,
    `/deliveries?since=${input}&webhook_id=${input}&event_type=${encodeURIComponent(`${input}!`)}`,
    `/events/${input}/deliveries`,
    `/replays/${input}`,
    `/${input}/there`,
    `/${input}%zz`,
  ]) {
    await call('GET', path);
  }
  await call('DELETE', `/events/${input}`);
  for (const key of [MARKERS.wrongKey, input, `${input} ${input}`]) {
    await note(send(api, 'GET', '/api/v1/webhooks', { key, headers: { 'x-request-id': `${input} and more` } }));
  }
  await note(send(api, 'GET', '/api/v1/webhooks', { key: null, headers: { authorization: `Basic ${input}` } }));

  // What the database refuses is an opaque 500, although its error holds the whole row.
  await site.query('alter table webhooks add constraint refused check (description is null) not valid');
  await call('POST', '/webhooks', settings('goes.well'));
  expect(problems.at(-1)).toMatchObject({ status: 500, body: { code: 'internal_error' } });
  await site.query('alter table webhooks drop constraint refused');
}

/** The connections break while deliveries are under way. */
async function loseTheDatabase(): Promise<void> {
  const deliveries: string[] = [];
  for (let n = 0; n < 5; n++) {
    for (const type of ['goes.well', 'goes.well.express']) deliveries.push((await publish(type)).delivery);
  }
  await site.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'posthorn-%'`);
  await until('the api to be back', () => api.call('GET', '/webhooks').then(({ status }) => status === 200), LIMIT_MS);
  for (const id of deliveries) await api.untilStatus(id, 'delivered', LIMIT_MS);
}

/** Every workflow of this installation as text: its history, and how Temporal lists and describes it. */
async function historiesOf(atLeast: number): Promise<string[]> {
  const { client } = temporal;
  const query = `TaskQueue = '${site.env.POSTHORN_TASK_QUEUE}'`;
  const list = async () => {
    const runs: { workflowId: string; runId: string; text: string }[] = [];
    for await (const { workflowId, runId, raw } of client.workflow.list({ query })) {
      runs.push({ workflowId, runId, text: readable(raw) });
    }
    return runs;
  };
  // Visibility is a little behind.
  const runs = await until('the workflows to be listed', async () => {
    const now = await list();
    return now.length >= atLeast && now;
  });
  return Promise.all(
    runs.map(async ({ workflowId, runId, text }) => {
      const handle = client.workflow.getHandle(workflowId, runId);
      return [text, readable((await handle.describe()).raw), readable(await handle.fetchHistory())].join('\n');
    }),
  );
}

/** Everything in the database as text, and the audit log by itself. */
async function tables(): Promise<{ all: string; auditLog: string }> {
  const names = await site.query(`select relname from pg_class where relkind in ('r', 'p') and not relispartition
    and relnamespace = 'public'::regnamespace`);
  const texts = new Map<string, string>();
  for (const { relname } of names) {
    const rows = await site.query(`select t::text as row from "${relname}" t`);
    texts.set(relname, rows.map(({ row }) => row).join('\n'));
  }
  return { all: [...texts.values()].join('\n'), auditLog: texts.get('audit_log')! };
}

test('the search finds what it is for', () => {
  const marker = randomBytes(9).toString('base64');
  const look = (text: string) => found(text, { marker });
  expect(look(`x${marker}y`)).toEqual(['marker']);
  expect(look(encodeURIComponent(marker))).toEqual(['marker']);
  expect(look(Buffer.from(marker).toString('hex'))).toEqual(['marker']);
  expect(look('nothing')).toEqual([]);
  expect(readable({ data: Buffer.from(JSON.stringify(marker)).toString('base64') })).toContain(marker);
});
