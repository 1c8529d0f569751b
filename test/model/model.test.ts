import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const MODEL = path.join(__dirname, '..', '..', 'docs', 'model');
const QUINT = path.join(path.dirname(require.resolve('@informalsystems/quint/package.json')), 'dist', 'src', 'cli.js');

/** Some seconds of a quiet machine; a busy one may take ten times as long. */
const LIMIT_MS = 600_000;

const INVARIANTS = [
  'nothingAcceptedIsLost',
  'answeredCancelIsMet',
  'nothingStaleIsSent',
  'numberIsSentOnce',
  'attemptsAreInTheRecord',
];
const PROTOCOL_INVARIANTS = [...INVARIANTS, 'answeredRescheduleIsMet', 'nothingWaitsForEver'];

/** Random runs of a model, the same ones each time: what quint says of them. */
async function simulate(file: string, args: string[]): Promise<string> {
  const bounds = ['--backend=typescript', '--seed=1', '--verbosity=1', ...args];
  const { stdout } = await promisify(execFile)(process.execPath, [QUINT, 'run', path.join(MODEL, file), ...bounds]);
  return stdout;
}

/** Whether each of these came about in any of the runs, at any time. */
async function seen(file: string, what: string[], args: string[]): Promise<Record<string, boolean>> {
  const said = await simulate(file, [...args, '--witnesses', ...what]);
  return Object.fromEntries(
    what.map((it) => {
      const line = said.split('\n').find((text) => text.startsWith(`${it} was witnessed in `));
      if (!line) throw new Error(`quint says nothing of ${it}:\n${said}`);
      return [it, !line.includes(' in 0 trace')];
    }),
  );
}

const all = (what: string[], value: boolean) => Object.fromEntries(what.map((it) => [it, value]));
const broken = (invariants: string[]) => invariants.map((invariant) => `not(${invariant})`);

/** What runs of the new protocol must have gone through for their silence to mean something. */
const COVERED = [
  's.cancelled',
  's.posts.size() > 1',
  's.state == "delivered"',
  's.log.size() > 1',
  's.holders.size() > 2',
];

describe('the model of the delivery protocol', () => {
  it(
    'finds what was wrong with leases by time, cancels by signal and connections of unknown state',
    async () => {
      const faults = broken(INVARIANTS);
      expect(await seen('today.qnt', faults, ['--max-samples=100', '--max-steps=20'])).toEqual(all(faults, true));
    },
    LIMIT_MS,
  );

  it(
    'finds nothing in the protocol of holders and fences',
    async () => {
      const faults = broken(PROTOCOL_INVARIANTS);
      const runs = await seen('protocol.qnt', [...faults, ...COVERED], ['--max-samples=120', '--max-steps=48']);
      expect(runs).toEqual({ ...all(faults, false), ...all(COVERED, true) });
    },
    LIMIT_MS,
  );

  it(
    'tells of each rule a story that goes wrong without it',
    async () => {
      const args = ['--init=begin', '--step=stay', '--max-samples=1', '--max-steps=1'];
      expect(await seen('rules.qnt', broken(['everyRuleIsNeeded']), args)).toEqual({ 'not(everyRuleIsNeeded)': false });
    },
    LIMIT_MS,
  );
});
