import { Command, InvalidArgumentError, Option } from 'commander';
import { summarise } from './figures';
import { machine } from './machine';
import { faults, toJson, toTable } from './report';
import { startRig } from './rig';
import { type BenchOptions, LANES, type Scenario } from './scenario';
import { latency } from './scenarios/latency';
import { throughput } from './scenarios/throughput';

const SCENARIOS: Record<string, Scenario> = { latency, throughput };
/** Beyond this a stopping process is left to the guards that end it when the harness is gone. */
const STOP_LIMIT_MS = 60_000;

const say = (line: string) => console.error(line);

/** Measures one scenario and prints it. The exit code is 0 only where every event arrived once and was recorded. */
async function bench(name: string, options: BenchOptions): Promise<void> {
  const measuredOn = machine();
  const rig = await startRig({ connections: options.connections, cpuProf: options.cpuProf, say });
  let ending: Promise<void> | undefined;
  const end = (code: number) => {
    ending ??= (async () => {
      setTimeout(() => process.exit(code || 1), STOP_LIMIT_MS).unref();
      await rig.stop();
      process.exit(code);
    })();
    return ending;
  };
  // More than once: a terminal's Ctrl-C reaches a child of npm twice.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(130));
  setTimeout(() => {
    say(`bench: not done after ${options.limitMinutes} minutes`);
    void end(1);
  }, options.limitMinutes * 60_000).unref();
  try {
    const { repeats, proof, settings } = await SCENARIOS[name]!.run(rig, options);
    const report = {
      ...{ scenario: name, lane: options.lane, ...summarise(repeats), repeats: repeats.length, proof },
      ...{ settings: { ...settings, ...rig.settings }, versions: rig.versions, machine: measuredOn },
    };
    console.log(options.json ? toJson(report) : toTable(report));
    for (const fault of faults(proof)) say(`bench: ${fault}`);
    await end(faults(proof).length > 0 ? 1 : 0);
  } catch (error) {
    if (!ending) say(`bench: ${(error as Error).message}`);
    await end(1);
  }
}

const wholeNumber = (min: number) => (text: string) => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min) throw new InvalidArgumentError(`must be a whole number from ${min} on`);
  return value;
};

const program = new Command('bench').description('Measures Posthorn in real processes on this machine.');
for (const [name, { about }] of Object.entries(SCENARIOS)) {
  program
    .command(name)
    .description(about)
    .option('--json', 'print one line of JSON', false)
    .addOption(new Option('--lane <lane>', 'how deliveries are sent').choices(LANES).default('workflow'))
    .option('--repeats <n>', 'rounds; the median counts', wholeNumber(1), 3)
    .option('--events <n>', 'events per round', wholeNumber(20))
    .option('--warmup <n>', 'events before the first round', wholeNumber(1))
    .option('--connections <n>', 'publishing connections', wholeNumber(1), 20)
    .option('--payload-bytes <n>', 'size of an event’s data', wholeNumber(100), 1024)
    .option('--cpu-prof <folder>', 'write a CPU profile of the worker there')
    .option('--limit-minutes <n>', 'give up after this long', wholeNumber(1), 15)
    .action((options: BenchOptions) => bench(name, options));
}
program.parseAsync().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exit(1);
});
