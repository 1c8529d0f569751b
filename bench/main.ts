import { Command, Option } from 'commander';
import { DELIVERY_MODES } from '../src/domain/delivery-mode';
import { summarise } from './figures';
import { machine } from './machine';
import { numberOption } from './options';
import { faults, toJson, toTable } from './report';
import { startRig } from './rig';
import type { BenchOptions, Scenario } from './scenario';
import { isolation } from './scenarios/isolation';
import { latency } from './scenarios/latency';
import { memory } from './scenarios/memory';
import { neighbours } from './scenarios/neighbours';
import { publish } from './scenarios/publish';
import { resume } from './scenarios/resume';
import { retries } from './scenarios/retries';
import { scaling } from './scenarios/scaling';
import { steps } from './scenarios/steps';
import { throughput } from './scenarios/throughput';
import { writeDocs } from './write-docs';

const SCENARIOS: Record<string, Scenario> = {
  ...{ latency, throughput, publish, isolation, neighbours, resume, retries, memory, steps, scaling },
};
/** Beyond this a stopping process is left to the guards that end it when the harness is gone. */
const STOP_LIMIT_MS = 60_000;

const say = (line: string) => console.error(line);

/**
 * Measures one scenario and prints it. The exit code is 0 only where every event arrived once and was recorded, and no
 * bound was missed.
 */
async function bench(name: string, options: BenchOptions): Promise<void> {
  const measuredOn = machine();
  const scenario = SCENARIOS[name]!;
  if (options.adapter && scenario.needs) throw new Error(`${name} can not be measured with an adapter`);
  const rig = await startRig({
    mode: options.mode,
    workers: scenario.workers?.(options) ?? 1,
    adapter: options.adapter,
    connections: options.connections,
    patienceMs: options.patienceSeconds * 1_000,
    postgres: options.postgres,
    cpuProf: options.cpuProf,
    profiled: scenario.profiled ?? 'worker',
    environment: scenario.environment,
    say,
  });
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
    const { repeats, proof, settings, missed = [] } = await scenario.run(rig, options);
    const wrong = faults(proof, rig.signed);
    const report = {
      ...{ scenario: name, mode: options.adapter ? 'adapter' : options.mode, variant: scenario.variant?.(options) },
      ...{ ...summarise(repeats), repeats: repeats.length, proof, faults: wrong, missed },
      ...{ settings: { ...settings, ...rig.settings }, versions: rig.versions, machine: measuredOn },
    };
    console.log(options.json ? toJson(report) : toTable(report));
    for (const line of [...wrong, ...missed]) say(`bench: ${line}`);
    if (options.write && wrong.length === 0) {
      writeDocs(report, `npm run bench -- ${process.argv.slice(2).join(' ')}`);
      say('written into docs/benchmarks.md');
    }
    await end(wrong.length + missed.length > 0 ? 1 : 0);
  } catch (error) {
    if (!ending) say(`bench: ${(error as Error).message}`);
    await end(1);
  }
}

const program = new Command('bench').description('Measures Posthorn in real processes on this machine.');
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  const { about, options, connections = 20, mode = 'workflow', profiled = 'worker' } = scenario;
  const command = program
    .command(name)
    .description(about)
    .option('--json', 'print one line of JSON', false)
    .option('--write', 'write the result into docs/benchmarks.md', false)
    .option('--adapter <file>', 'measure another sender: a module as in bench/adapters/')
    .addOption(new Option('--mode <mode>', 'who makes the attempts').choices(DELIVERY_MODES).default(mode));
  for (const option of options) command.addOption(option);
  command
    .addOption(numberOption('--connections <n>', 'publishing connections', { fallback: connections }))
    .addOption(numberOption('--payload-bytes <n>', 'size of an event’s data', { fallback: 1024, min: 100 }))
    .option('--postgres <folder>', 'programs of another Postgres, such as /usr/lib/postgresql/15/bin')
    .option('--cpu-prof <folder>', `write a CPU profile of the ${profiled} there`)
    .addOption(numberOption('--patience-seconds <n>', 'what stands still for this long is over', { fallback: 30 }))
    .addOption(numberOption('--limit-minutes <n>', 'give up after this long', { fallback: 15 }))
    .action((given: BenchOptions) => bench(name, given));
}
program.parseAsync().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exit(1);
});
