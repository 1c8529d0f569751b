import { InvalidArgumentError, Option } from 'commander';
import { untilArrived } from '../../load';
import type { NameServerMethods } from '../../name-server';
import { numberOption } from '../../options';
import { proveDelivered, untilDone } from '../../proof';
import type { Arrival } from '../../receiver';
import { remote } from '../../remote';
import type { Rig } from '../../rig';
import type { BenchOptions, Outcome } from '../../scenario';
import { ALL, NEIGHBOURS } from './all';
import { acknowledged, MAX_RATIO, type OfNeighbour, ofNeighbour, operationalOf, toFigures } from './figures';
import { createHealthy } from './healthy';
import { measure, type Published } from './measure';
import type { Neighbour } from './neighbour';
import { createProbe, OPERATIONAL_PATH } from './operational-probe';
import { createTenant } from './tenant';

const TYPE = 'healthy.event';
const PATH = '/healthy';
/** By a name, as most endpoints are: lookups are among what neighbours compete for. */
const HOST = 'hook.healthy.test';
/** What an installation has that sets nothing: neighbours are to be held by it. */
const API_RATE_LIMIT = '1000/1s';

type Options = BenchOptions & {
  only: readonly Neighbour[];
  rate: number;
  seconds: number;
  pairs: number;
  settleSeconds: number;
  warmupSeconds: number;
};

/** What a healthy tenant notices of neighbours that ask for more than they should, or of somebody without a key. */
export const neighbours = {
  about: 'publish → arrival of a healthy tenant, without and with each of several neighbours',
  options: [
    new Option('--only <names>', `some of ${ALL.map(({ name }) => name).join(', ')}, comma separated`)
      .argParser(pick)
      .default(NEIGHBOURS, 'B1 to B6'),
    numberOption('--rate <n>', 'events per second of the healthy tenant', { fallback: 20 }),
    numberOption('--seconds <n>', 'measured time of each phase', { fallback: 10 }),
    numberOption('--pairs <n>', 'phases without and with each neighbour', { fallback: 2 }),
    numberOption('--settle-seconds <n>', 'after a neighbour begins or ends, not measured', { fallback: 3 }),
    numberOption('--warmup-seconds <n>', 'before the first phase, not measured', { fallback: 15 }),
  ],
  mode: 'express' as const,
  profiled: 'api' as const,
  needs: 'posthorn' as const,
  variant: (options: BenchOptions) => {
    const { only } = options as Options;
    return only === NEIGHBOURS ? '' : only.map(({ name }) => name).join(' ');
  },
  environment: async (start: Rig['start']) => ({
    POSTHORN_API_RATE_LIMIT: API_RATE_LIMIT,
    POSTHORN_DNS_SERVERS: await remote<NameServerMethods>(start('name-server').child)('listen'),
  }),
  run,
};

function pick(names: string): Neighbour[] {
  return names.split(',').map((name) => {
    const found = ALL.find((one) => one.name === name.trim());
    if (!found) throw new InvalidArgumentError(`there is no ${name}`);
    return found;
  });
}

async function run(rig: Rig, options: Options): Promise<Outcome> {
  const { only, rate, seconds, pairs, settleSeconds, warmupSeconds, payloadBytes: bytes, connections } = options;
  const url = new URL(PATH, rig.receiverUrl);
  url.hostname = HOST;
  const webhook = await rig.receive(PATH, TYPE, { url: url.href });
  const healthy = createHealthy(rig, { type: TYPE, rate, bytes, connections });
  const spare = await createTenant(rig, 'spare');
  const probe = await createProbe(rig, spare);
  const all: Published[] = [];
  const publish = async (round: string, forSeconds: number): Promise<Published> => {
    const [publishes, operational] = await Promise.all([
      healthy.publish(round, forSeconds),
      probe.raise('operational', forSeconds),
    ]);
    const published = { publishes, operational };
    all.push(published);
    return published;
  };

  const arrived = new Map<string, Arrival>();
  const signatures = { verified: 0, refused: 0 };
  /** Waits for what was published since the last time, and takes what has come. */
  const takeArrivals = async (since: readonly Published[]): Promise<Arrival[]> => {
    await untilArrived(rig, acknowledged(since).length + operationalOf(since).length, 'neighbours');
    const { arrivals, verified, refused } = await rig.receiver('take');
    for (const one of arrivals) {
      const known = arrived.get(one.mark);
      if (known) known.times += one.times;
      else arrived.set(one.mark, one);
    }
    signatures.verified += verified;
    signatures.refused += refused;
    return arrivals;
  };

  rig.say(`neighbours: warm-up, ${warmupSeconds} s`);
  await publish('warm', warmupSeconds);
  await takeArrivals(all);
  const phases = {
    ...{ pairs, settleSeconds },
    measured: () => publish('healthy', seconds),
    settle: () => publish('settle', settleSeconds),
  };
  const found = new Map<string, OfNeighbour>();
  const failed: string[] = [];
  for (const neighbour of only) {
    rig.say(`${neighbour.name}: ${neighbour.about}`);
    const before = all.length;
    const measured = await measure(rig, neighbour, phases).catch((error: Error) => error);
    const arrivals = await takeArrivals(all.slice(before));
    if (measured instanceof Error) {
      failed.push(`${neighbour.name}: could not be measured: ${measured.message}`);
      continue;
    }
    const figures = ofNeighbour(measured, arrivals);
    found.set(neighbour.name, figures);
    const { without_p99_ms, with_p99_ms, ratio_p99 } = figures;
    const p99 = `${without_p99_ms.toFixed(1)} ms without and ${with_p99_ms.toFixed(1)} ms with`;
    rig.say(`${neighbour.name}: p99 is ${p99} it, ratio ${ratio_p99.toFixed(2)}`);
  }

  await untilDone(rig, [webhook, probe.webhook]);
  await takeArrivals([]);
  await healthy.close();
  await spare.close();
  const [marks, operational, arrivals] = [acknowledged(all), operationalOf(all), [...arrived.values()]];
  const expected = [
    { id: webhook, path: PATH, marks },
    { id: probe.webhook, path: OPERATIONAL_PATH, marks: operational },
  ];
  const counts = await proveDelivered(rig, expected, arrivals);
  const { figures, missed } = toFigures(found);
  const settings = {
    ...{ rate, seconds, pairs, settle_seconds: settleSeconds, warmup_seconds: warmupSeconds, payload_bytes: bytes },
    ...{ api_rate_limit: API_RATE_LIMIT, max_ratio: MAX_RATIO },
  };
  return {
    repeats: [figures],
    // What was not acknowledged may have been delivered all the same.
    proof: { ...counts, unfinished: Math.max(0, counts.unfinished), ...signatures },
    settings,
    missed: [...failed, ...missed],
  };
}
