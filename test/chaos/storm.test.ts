import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { Report } from '../../chaos/report';

const MAIN = path.join(__dirname, '..', '..', 'dist', 'chaos', 'main.js');
/** A minute, and what a busy machine takes to start everything, to let it settle and to check. */
const LIMIT_MS = 16 * 60_000;

/** Real roles in processes of their own, in `auto`: both paths and the change between them. */
test(
  'in a storm of a minute nothing is lost, nothing is stuck, and nothing is without an explanation',
  async () => {
    const { PATH = '', HOME = '', TMPDIR } = process.env;
    const child = spawn(process.execPath, [MAIN, '--minutes', '1', '--seed', '1', '--mode', 'auto', '--json'], {
      env: { PATH, HOME, ...(TMPDIR && { TMPDIR }) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    if (!stdout) throw new Error(`the storm did not end: ${stderr.slice(-4_000)}`);
    const { lost, stuck, unexplained, by_check, events, posts, faults } = JSON.parse(stdout) as Report;
    // The stories, for whoever has to find out why.
    if (lost + stuck + unexplained > 0) process.stderr.write(stderr);
    expect({ lost, stuck, unexplained, by_check }).toEqual({ lost: 0, stuck: 0, unexplained: 0, by_check: {} });
    // It was a storm: there was traffic, and most of what was drawn was done.
    expect(events).toBeGreaterThan(100);
    expect(posts).toBeGreaterThan(100);
    expect(Object.values(faults).reduce((sum, n) => sum + n, 0)).toBeGreaterThan(5);
  },
  LIMIT_MS,
);
