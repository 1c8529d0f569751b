import { percentile, rate } from '../../bench/figures';
import type { Report } from '../../bench/report';
import { replaceSection, sectionOf } from '../../bench/write-docs';

const PAGE = '# Benchmarks\n\nBy hand.\n\n## Figures\n\nWritten by the commands.\n';

const report = (scenario: string, perSecond: number, mode = 'express'): Report => ({
  ...{ scenario, mode, variant: 'drain', repeats: 1, spread: {}, settings: { events: 10 } },
  figures: { deliveries_per_s: perSecond, cpu_ms: { api: 1, worker: 2 } },
  proof: { lost: 0, duplicates: 0 },
  faults: [],
  versions: { posthorn: '1' },
  machine: { cpus: 2, model: 'test', memory_gb: 1, node: '20', os: 'Linux', load_1m: 0 },
});
const write = (page: string, ...args: Parameters<typeof report>) =>
  replaceSection(page, sectionOf(report(...args), 'npm run bench -- it'));

test('a run takes the place of the earlier one of its name, and leaves the rest of the page alone', () => {
  const first = write(write(write(PAGE, 'throughput', 100), 'latency', 7), 'throughput', 9, 'workflow');
  const page = write(first, 'throughput', 200);
  expect(page.startsWith(PAGE)).toBe(true);
  expect([...page.matchAll(/^### (.+)$/gm)].map(([, name]) => name)).toEqual([
    'latency, express, drain',
    'throughput, express, drain',
    'throughput, workflow, drain',
  ]);
  expect(page).toContain('| `deliveries_per_s` | 200 |');
  expect(page).not.toContain('| `deliveries_per_s` | 100 |');
  expect(page).toContain('| `cpu_ms worker` | 2 |');
  expect(page).toContain('    npm run bench -- it');
  // Again the same: nothing grows.
  expect(write(page, 'throughput', 200)).toBe(page);
});

test('a page without a place for figures is refused', () => {
  expect(() => write('# Benchmarks\n', 'latency', 1)).toThrow('## Figures');
});

test('a rate leaves ramp and tail out; a percentile lies between its neighbours', () => {
  const steady = Array.from({ length: 101 }, (_, n) => n * 10);
  expect(rate([-5_000, ...steady, 9_000])).toBeCloseTo(100, 5);
  expect(percentile([4, 1, 3, 2], 50)).toBe(2.5);
});
