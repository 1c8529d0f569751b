import { createLog } from '../../src/log';
import { type AutoMode, createAutoMode } from '../../src/relay/auto-mode';

let now = 0;
let auto: AutoMode;
/** What the engine says when it is asked; undefined: it is there. */
let whyNot: string | undefined;
let asked: number;
let lines: { event: string; path: string; because?: string; err?: string; workflow_starts_per_s?: number }[];
beforeEach(() => {
  now = 1_000;
  whyNot = undefined;
  asked = 0;
  lines = [];
  const log = createLog('info', { write: (line) => void lines.push(JSON.parse(line)) });
  const ask = async () => {
    asked++;
    return whyNot;
  };
  auto = createAutoMode({ lagMs: 500, log, ask, nowMs: () => now });
});

const isExpress = () => auto.express().includes('auto');
/** Claims of the workflow path, 100 ms apart. */
function workflowClaims(fulls: boolean[], startsEach = 10): void {
  let started = 0;
  for (const full of fulls) {
    now += 100;
    started += startsEach;
    auto.onWorkflowClaim(full, started);
  }
}
/** Claims of the workflow path while its starts fail, 100 ms apart. */
function failingClaims(count: number): void {
  for (let n = 0; n < count; n++) {
    now += 100;
    auto.onWorkflowClaim(false, n, 'UNAVAILABLE');
  }
}
/** So many deliveries a second, taken by the express path, for so long. What the engine is asked, it answers at once. */
async function expressSeconds(seconds: number, perSecond: number): Promise<void> {
  for (let n = 0; n < seconds * 10; n++) {
    now += 100;
    auto.onExpressClaim(perSecond / 10);
    await Promise.resolve();
    await Promise.resolve();
  }
}

test('each webhook in mode auto is served by exactly one path', () => {
  const paths = () => [auto.workflow().includes('auto'), auto.express().includes('auto')];
  expect(paths()).toEqual([true, false]);
  workflowClaims(Array(8).fill(true));
  expect(paths()).toEqual([false, true]);
});

test('webhooks that say it themselves stay where they are', () => {
  for (let n = 0; n < 2; n++) {
    expect(auto.workflow()).toContain('workflow');
    expect(auto.express()).toContain('express');
    expect(auto.workflow()).not.toContain('express');
    workflowClaims(Array(8).fill(true));
  }
});

test('more work than room without a break for the lag: express; a break begins it anew', () => {
  workflowClaims([true, true, true, true, true, false, true, true, true, true, true]);
  expect(isExpress()).toBe(false);
  workflowClaims([true]);
  expect(isExpress()).toBe(true);
});

test('back when there was clearly less than the engine can do, three seconds on end', async () => {
  workflowClaims(Array(8).fill(true), 10); // 100 starts a second
  await expressSeconds(10, 80);
  expect(isExpress()).toBe(true);
  await expressSeconds(2, 20);
  expect(isExpress()).toBe(true);
  await expressSeconds(1, 80);
  await expressSeconds(2, 20);
  expect(isExpress()).toBe(true);
  await expressSeconds(2, 20);
  expect(isExpress()).toBe(false);
});

test('an engine that starts nothing is tried again once next to nothing comes', async () => {
  workflowClaims(Array(8).fill(true), 0);
  expect(isExpress()).toBe(true);
  await expressSeconds(5, 10);
  expect(isExpress()).toBe(true);
  await expressSeconds(5, 1);
  expect(isExpress()).toBe(false);
});

test('not back while the engine takes no more starts, however little comes', async () => {
  workflowClaims(Array(8).fill(true), 0);
  for (let n = 0; n < 10; n++) {
    await expressSeconds(1, 1);
    workflowClaims([true], 0);
    expect(isExpress()).toBe(true);
  }
  await expressSeconds(3, 1);
  workflowClaims([false]);
  expect(isExpress()).toBe(false);
});

test('not back while the engine does not answer, however calm it is; then as soon as it does', async () => {
  failingClaims(8);
  expect(isExpress()).toBe(true);
  whyNot = 'UNAVAILABLE: connection refused';
  await expressSeconds(60, 5);
  expect(isExpress()).toBe(true);
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThanOrEqual(20);
  whyNot = undefined;
  await expressSeconds(4, 5);
  expect(isExpress()).toBe(false);
  expect(lines.map(({ event, path, because, err }) => [event, path, because, err])).toEqual([
    ['auto_mode', 'express', 'starts_fail', 'UNAVAILABLE'],
    // Said once, however often it is asked.
    ['auto_mode_stays', 'express', undefined, 'UNAVAILABLE: connection refused'],
    ['auto_mode', 'workflow', 'calm', undefined],
  ]);
});

test('an answer that comes when it is calm no more brings nothing back', async () => {
  let answer: (whyNot: string | undefined) => void = () => undefined;
  const ask = () =>
    new Promise<string | undefined>((resolve) => {
      answer = resolve;
    });
  auto = createAutoMode({ lagMs: 500, log: createLog('silent'), ask, nowMs: () => now });
  workflowClaims(Array(8).fill(true), 10);
  await expressSeconds(4, 1);
  await expressSeconds(1, 500);
  answer(undefined);
  await expressSeconds(1, 500);
  expect(isExpress()).toBe(true);
});

test('after failing starts it is the engine that says when, not a rate that nobody measured', async () => {
  failingClaims(8);
  expect(lines[0]).not.toHaveProperty('workflow_starts_per_s');
  await expressSeconds(4, 50);
  expect(isExpress()).toBe(false);
});

test('an engine that answers and takes no starts: each way back that did not hold makes the next one rarer', async () => {
  let turns = 0;
  for (let second = 0; second < 600; second++) {
    if (isExpress()) await expressSeconds(1, 5);
    else {
      turns++;
      failingClaims(10);
    }
  }
  // Without that it would be one in four seconds.
  expect(turns).toBeGreaterThan(3);
  expect(turns).toBeLessThanOrEqual(9);
  // One that held is forgotten: three calm seconds again.
  if (isExpress()) await expressSeconds(300, 5);
  workflowClaims(Array(700).fill(false));
  failingClaims(8);
  await expressSeconds(4, 5);
  expect(isExpress()).toBe(false);
});
