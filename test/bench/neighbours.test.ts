import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { Arrival } from '../../bench/receiver';
import { ofNeighbour, toFigures } from '../../bench/scenarios/neighbours/figures';
import type { Measured, Published } from '../../bench/scenarios/neighbours/measure';

const BENCH = path.join(__dirname, '..', '..', 'dist', 'bench', 'main.js');
const { PATH = '', HOME = '' } = process.env;

async function bench(...args: string[]) {
  const child = spawn(process.execPath, [BENCH, 'neighbours', ...args], {
    env: { PATH, HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, stdout, stderr };
}

test('a short run of two neighbours: what the healthy tenant published has come, and they did what they do', async () => {
  const short = ['--seconds', '1', '--pairs', '2', '--settle-seconds', '1', '--warmup-seconds', '1', '--rate', '10'];
  const { code, stdout, stderr } = await bench('--only', 'B1,B4', '--json', ...short);
  const report = JSON.parse(stdout || '{}');
  expect({ report, stderr }).toMatchObject({
    report: {
      ...{ scenario: 'neighbours', mode: 'express', variant: 'B1 B4' },
      ...{ lost: 0, duplicates: 0, unfinished: 0, refused: 0, answers_5xx: 0 },
      B1: { ratio_p99: expect.any(Number), api_with_p99_ms: expect.any(Number), answers_refused: 0 },
      B4: { ratio_p99: expect.any(Number), neighbour_connections: expect.any(Number) },
      settings: { rate: 10, seconds: 1, pairs: 2, api_rate_limit: '1000/1s' },
    },
  });
  expect(report.B1.neighbour_202).toBeGreaterThan(0);
  expect(report.B4.neighbour_sent).toBeGreaterThan(0);
  expect(report).not.toHaveProperty('faults');
  // So short a run proves nothing of the ratio; but the exit code says what the report does.
  expect(code).toBe(report.missed ? 1 : 0);
}, 300_000);

test('a neighbour that there is not is refused', async () => {
  const { code, stderr } = await bench('--only', 'B1,B99');
  expect(code).toBe(1);
  expect(stderr).toContain('B99');
});

describe('figures', () => {
  const arrivals: Arrival[] = [];
  let last = 0;
  /** Publishes that arrive after so long, with the status that they were answered. */
  function published(delayMs: number, statuses: number[]): Published {
    const publishes = statuses.map((status) => {
      const mark = `bench-test-${String(++last).padStart(7, '0')}`;
      if (status === 202) arrivals.push({ path: '/', mark, atMs: 1_000 + delayMs, times: 1 });
      return { mark, beganMs: 1_000, status, answeredMs: 1_000 + delayMs / 2 };
    });
    return { publishes, operational: [] };
  }
  const taken = (count: number) => Array<number>(count).fill(202);
  const figuresOf = (without: Published, withIt: Published) => {
    const measured: Measured = { without, with: withIt, made: { 429: 7 }, load1m: 1 };
    return toFigures(new Map([['B1', ofNeighbour(measured, arrivals)]]));
  };

  test('the ratio is that of the p99s, and is missed above 1.5', () => {
    const even = figuresOf(published(100, taken(50)), published(150, taken(50)));
    expect(even.figures).toMatchObject({ worst_ratio_p99: 1.5, answers_5xx: 0 });
    expect(even.figures.B1).toMatchObject({
      ...{ without_p99_ms: 100, with_p99_ms: 150, api_without_p99_ms: 50, api_with_p99_ms: 75, neighbour_429: 7 },
    });
    expect(even.missed).toEqual([]);
    const slower = figuresOf(published(100, taken(50)), published(151, taken(50)));
    expect(slower.missed).toEqual(['B1: p99 with ÷ without is 1.51, above 1.5']);
  });

  test.each([
    ['a server error', [...taken(50), 503], 1],
    ['no answer at all', [...taken(50), 0, 0], 2],
  ])('%s is missed, whatever the ratio is', (_, statuses, count) => {
    const { figures, missed } = figuresOf(published(100, taken(50)), published(100, statuses));
    expect(figures).toMatchObject({ worst_ratio_p99: 1, answers_5xx: count });
    expect(missed).toEqual([`B1: ${count} publishes were answered 5xx or not at all`]);
  });

  test('what was refused is told, and is no server error', () => {
    const { figures, missed } = figuresOf(published(100, taken(50)), published(100, [...taken(50), 429]));
    expect(figures.B1).toMatchObject({ answers_refused: 1, answers_5xx: 0 });
    expect(missed).toEqual([]);
  });

  test('a phase of which nothing came is missed', () => {
    expect(figuresOf(published(100, taken(50)), published(100, [])).missed).toEqual([
      'B1: p99 with ÷ without is NaN, above 1.5',
    ]);
  });
});
