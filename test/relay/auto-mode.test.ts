import { createLog } from '../../src/log';
import { type AutoMode, createAutoMode } from '../../src/relay/auto-mode';

let now = 0;
let auto: AutoMode;
beforeEach(() => {
  now = 1_000;
  auto = createAutoMode({ lagMs: 500, log: createLog('silent'), nowMs: () => now });
});

const isExpress = () => auto.express().includes('auto');
/** Claims of the workflow lane, 100 ms apart. */
function workflowClaims(fulls: boolean[], startsEach = 10): void {
  let started = 0;
  for (const full of fulls) {
    now += 100;
    started += startsEach;
    auto.onWorkflowClaim(full, started);
  }
}
/** So many deliveries a second, taken by the express lane, for so long. */
function expressSeconds(seconds: number, perSecond: number): void {
  for (let n = 0; n < seconds * 10; n++) {
    now += 100;
    auto.onExpressClaim(perSecond / 10);
  }
}

test('each webhook in mode auto is served by exactly one lane', () => {
  const lanes = () => [auto.workflow().includes('auto'), auto.express().includes('auto')];
  expect(lanes()).toEqual([true, false]);
  workflowClaims(Array(8).fill(true));
  expect(lanes()).toEqual([false, true]);
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

test('back when there was clearly less than the engine can do, three seconds on end', () => {
  workflowClaims(Array(8).fill(true), 10); // 100 starts a second
  expressSeconds(10, 80);
  expect(isExpress()).toBe(true);
  expressSeconds(2, 20);
  expect(isExpress()).toBe(true);
  expressSeconds(1, 80);
  expressSeconds(2, 20);
  expect(isExpress()).toBe(true);
  expressSeconds(2, 20);
  expect(isExpress()).toBe(false);
});

test('an engine that starts nothing is tried again once next to nothing comes', () => {
  workflowClaims(Array(8).fill(true), 0);
  expect(isExpress()).toBe(true);
  expressSeconds(5, 10);
  expect(isExpress()).toBe(true);
  expressSeconds(5, 1);
  expect(isExpress()).toBe(false);
});

test('not back while the engine takes no more starts, however little comes', () => {
  workflowClaims(Array(8).fill(true), 0);
  for (let n = 0; n < 10; n++) {
    expressSeconds(1, 1);
    workflowClaims([true], 0);
    expect(isExpress()).toBe(true);
  }
  expressSeconds(3, 1);
  workflowClaims([false]);
  expect(isExpress()).toBe(false);
});
