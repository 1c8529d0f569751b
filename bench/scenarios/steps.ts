import { setTimeout as sleep } from 'node:timers/promises';
import { Option } from 'commander';
import { type Figures, percentile } from '../figures';
import { numberOption } from '../options';
import { proveDelivered, untilDone } from '../proof';
import type { Rig } from '../rig';
import type { BenchOptions, Outcome } from '../scenario';
import { delays, publishSteadily, type Sent } from '../steady';

const PATH = '/steps';
/** Each step has a type of its own, so that the record can tell its modes. */
const typeOf = (step: number) => `steps.s${step}`;
const REST_MS = 1_000;

type Options = BenchOptions & { rates: number[]; stepSeconds: number };

/** Load that goes up and down in steps: publish → arrival in each, and who made the attempts. */
export const steps = {
  about: 'publish → arrival under a load that steps up and down, and the share of each mode',
  options: [
    new Option('--rates <list>', 'events per second of each step')
      .default([20, 100, 500, 1_000, 2_000, 500, 20], '20,100,500,1000,2000,500,20')
      .argParser((text: string) => text.split(',').map(Number)),
    numberOption('--step-seconds <n>', 'how long each step lasts', { fallback: 15 }),
  ],
  connections: 200,
  needs: 'posthorn' as const,
  run,
};

async function run(rig: Rig, { rates, stepSeconds, payloadBytes: bytes }: Options): Promise<Outcome> {
  const ids: string[] = [];
  for (const [step] of rates.entries()) ids.push(await rig.receive(`${PATH}/${step}`, typeOf(step)));
  const sinceMs = Date.now() - 1_000;
  const sent: Sent[][] = [];
  const publishedPerS: number[] = [];
  for (const [step, rate] of rates.entries()) {
    rig.say(`steps: ${rate} events/s for ${stepSeconds} s`);
    const beganMs = performance.now();
    sent.push(await publishSteadily(rig, { round: 'steps', type: typeOf(step), bytes, rate, seconds: stepSeconds }));
    publishedPerS.push((rate * stepSeconds * 1_000) / (performance.now() - beganMs));
  }
  await sleep(REST_MS);
  await untilDone(rig, ids);
  const { arrivals, verified, refused } = await rig.receiver('take');
  const expected = ids.map((id, step) => ({ id, path: `${PATH}/${step}`, marks: sent[step]!.map(({ mark }) => mark) }));
  const counts = await proveDelivered(rig, expected, arrivals);
  const figures: Figures = {};
  for (const [step, rate] of rates.entries()) {
    const times = delays(sent[step]!, arrivals);
    const { express = 0, workflow = 0 } = await rig.database.modes(typeOf(step), sinceMs);
    figures[`step_${step + 1}_at_${rate}_per_s`] = {
      published_per_s: Math.round(publishedPerS[step]!),
      p50_ms: Math.round(percentile(times, 50) * 10) / 10,
      p99_ms: Math.round(percentile(times, 99) * 10) / 10,
      express_percent: Math.round((express * 100) / (express + workflow)),
    };
  }
  const settings = { rates, step_seconds: stepSeconds, payload_bytes: bytes };
  return { repeats: [figures], proof: { ...counts, verified, refused }, settings };
}
