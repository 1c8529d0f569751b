import { Command, Option } from 'commander';
import { machine, ownVersions } from '../bench/machine';
import { numberOption } from '../bench/options';
import { DELIVERY_MODES, type DeliveryMode } from '../src/domain/delivery-mode';
import { isClean, type Report, toText } from './report';
import { storm } from './storm';
import { writeDocs } from './write-docs';

type Options = {
  minutes: number;
  seed: number;
  mode: DeliveryMode;
  rate: number;
  json: boolean;
  write: boolean;
  logs?: string;
};

/** Beyond the storm itself: start, settling, checks, end. */
const BESIDES_MS = 25 * 60_000;

const say = (line: string) => console.error(line);

/** The exit code is 0 only where nothing was lost or stuck, and everything else has an explanation. */
async function run(options: Options): Promise<void> {
  const measuredOn = machine();
  // Ends by `exit`: the servers' guardians and the roles' ties end what is left.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
  setTimeout(
    () => {
      say('chaos: not done in time');
      process.exit(1);
    },
    options.minutes * 60_000 + BESIDES_MS,
  ).unref();
  const report: Report = { ...(await storm({ ...options, say })), machine: measuredOn, versions: ownVersions() };
  console.log(options.json ? JSON.stringify(report) : toText(report));
  if (options.write) {
    writeDocs(report, `npm run chaos -- ${process.argv.slice(2).join(' ')}`);
    say('written into docs/reliability.md');
  }
  process.exit(isClean(report) ? 0 : 1);
}

new Command('chaos')
  .description('Storms an installation of its own with faults, and checks that nothing is lost, stuck or sent twice.')
  .addOption(numberOption('--minutes <n>', 'how long the storm lasts; it settles after that', { fallback: 5 }))
  .addOption(numberOption('--seed <n>', 'what is drawn: the same seed, the same faults', { fallback: 1 }))
  .addOption(new Option('--mode <mode>', 'who makes first attempts').choices(DELIVERY_MODES).default('auto'))
  .addOption(numberOption('--rate <n>', 'events a second', { fallback: 12 }))
  .option('--json', 'print one line of JSON', false)
  .option('--write', 'write the result into docs/reliability.md', false)
  .option('--logs <folder>', 'leave the logs of all processes there')
  .action(run)
  .parseAsync()
  .catch((error: Error) => {
    console.error(`chaos: ${error.stack}`);
    process.exit(1);
  });
