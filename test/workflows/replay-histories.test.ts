import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { HISTORIES, leaks } from '../support/histories';

/** How histories are recorded: record-histories.test.ts. */

const files = readdirSync(HISTORIES).filter((file) => file.endsWith('.json'));
const read = (file: string): unknown => JSON.parse(readFileSync(path.join(HISTORIES, file), 'utf8'));

beforeAll(() => {
  const filter = 'temporal_client=error,temporal_sdk_core=off';
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter, forward: {} } } });
});

/** Replays histories and returns what went wrong, by name. */
async function replay(histories: { workflowId: string; history: unknown }[]): Promise<[string, string | undefined][]> {
  const results = Worker.runReplayHistories({ workflowsPath: require.resolve('../../src/workflows') }, histories);
  const outcomes: [string, string | undefined][] = [];
  for await (const { workflowId, error } of results) outcomes.push([workflowId, error?.name]);
  return outcomes;
}

test('runs that began under earlier code go on under this one', async () => {
  expect(files.length).toBeGreaterThanOrEqual(6);
  const outcomes = await replay(files.map((file) => ({ workflowId: file, history: read(file) })));
  expect(outcomes).toEqual(files.map((file) => [file, undefined]));
});

test.each([
  ['exhausted.json', 'attempt'],
  ['endpoint-verification.json', 'verifyEndpoint'],
  ['webhook-test.json', 'testWebhook'],
])('a history that this code does not make is noticed: %s with another activity than %s', async (file, activity) => {
  const parts = JSON.stringify(read(file)).split('"activityType":');
  const renamed = parts.map((part) => part.replace(new RegExp(`^{"name":"${activity}"`), '{"name":"another"'));
  const history = JSON.parse(renamed.join('"activityType":'));
  expect(history).not.toEqual(read(file));
  expect(await replay([{ workflowId: 'another', history }])).toEqual([['another', 'DeterminismViolationError']]);
});

test.each(files)('%s holds nothing but ids, numbers and names', (file) => {
  expect(leaks(read(file))).toEqual([]);
});
