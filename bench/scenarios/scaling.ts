import { Option } from 'commander';
import { type Figures, rate } from '../figures';
import { publishBatches } from '../load';
import { numberOption } from '../options';
import { addCounts, arrived, proveDelivered, untilDone } from '../proof';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome, Proof } from '../scenario';

const WEBHOOKS = 10;

type Options = BenchOptions & { workers: number[]; events: number };

/** A backlog for ten webhooks, drained by one, two and four worker processes on the same queue. */
export const scaling = {
  about: 'drain of the same backlog by several worker processes: speed, fairness, no double delivery',
  options: [
    new Option('--workers <list>', 'worker processes of each round, never fewer than before')
      .default([1, 2, 4], '1,2,4')
      .argParser((text: string) => text.split(',').map(Number)),
    numberOption('--events <n>', `events of each round, each for one of ${WEBHOOKS} webhooks`, { fallback: 20_000 }),
  ],
  workers: (options: BenchOptions) => (options as Options).workers[0]!,
  needs: 'posthorn' as const,
  run,
};

async function run(rig: Rig, { workers, events, connections, payloadBytes: bytes }: Options): Promise<Outcome> {
  const webhooks: { id: string; path: string; type: string }[] = [];
  for (let n = 1; n <= WEBHOOKS; n++) {
    const [path, type] = [`/scaling/${n}`, `scaling.w${n}`];
    webhooks.push({ id: await rig.receive(path, type), path, type });
  }
  const figures: Figures = {};
  const proofs: Proof[] = [];
  let running = workers[0]!;
  for (const count of workers) {
    for (; running < count; running++) await rig.addWorker();
    for (const { id } of webhooks) await rig.target.pause(id);
    rig.say(`scaling: publishing ${events} events for ${count} workers`);
    const marks: string[][] = [];
    for (const { type } of webhooks) {
      marks.push(await publishBatches(rig, { round: 'scaling', type, events: events / WEBHOOKS, connections, bytes }));
    }
    await Promise.all(webhooks.map(({ id }) => rig.target.resume(id)));
    await untilDone(
      rig,
      webhooks.map(({ id }) => id),
    );
    const { arrivals, verified, refused } = await rig.receiver('take');
    const expected = webhooks.map((webhook, i) => ({ ...webhook, marks: marks[i]! }));
    const counts = await proveDelivered(rig, expected, arrivals);
    // What was delivered in the rounds before is recorded as well.
    proofs.push({ ...counts, unfinished: Math.max(0, counts.unfinished), verified, refused });
    const times = arrived(expected, arrivals).map(({ atMs }) => atMs);
    const half = [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
    const shares = webhooks.map(({ path }) => arrivals.filter((one) => one.path === path && one.atMs <= half).length);
    figures[`${count}_workers`] = {
      deliveries_per_s: Math.round(rate(times)),
      // Of what had arrived when half was there: the webhook with least by the one with most.
      fairness: Math.round((Math.min(...shares) / Math.max(...shares)) * 100) / 100,
    };
    rig.say(`scaling: ${count} workers, ${Math.round(rate(times))} deliveries/s`);
  }
  const { verified, refused } = proofs.reduce((sum, one) => ({
    ...one,
    verified: sum.verified + one.verified,
    refused: sum.refused + one.refused,
  }));
  const settings = { workers_of_rounds: workers, events, webhooks: WEBHOOKS, payload_bytes: bytes };
  return { repeats: [figures], proof: { ...addCounts(proofs), verified, refused }, settings };
}
