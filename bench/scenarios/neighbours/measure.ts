import os from 'node:os';
import type { Made, NeighbourMethods } from '../../neighbour';
import { remote } from '../../remote';
import type { Rig } from '../../rig';
import type { Sent } from '../../steady';
import type { Publish } from './healthy';
import type { Begin, End, Neighbour } from './neighbour';
import { createTenant } from './tenant';

export type Mode = 'without' | 'with';
/** What the healthy tenant did in a phase. */
export type Published = { publishes: Publish[]; operational: Sent[] };
export type Phases = {
  pairs: number;
  settleSeconds: number;
  /** Publishes as the healthy tenant for one phase. */
  measured: () => Promise<Published>;
  /** The same before a phase, where the neighbour has just begun or ended. */
  settle: () => Promise<unknown>;
};
export type Measured = Record<Mode, Published> & {
  /** What the neighbour did in its phases. */
  made: Made;
  /** Load of the machine at the end. */
  load1m: number;
};

/**
 * The healthy tenant without and with a neighbour, in turn: what the machine is slower or faster at meanwhile is in both.
 * Of each pair the order is the other one than of the pair before, so that the neighbour begins and ends half as often.
 */
export async function measure(rig: Rig, neighbour: Neighbour, phases: Phases): Promise<Measured> {
  const { child, stop } = rig.start('neighbour');
  const machine = remote<NeighbourMethods>(child);
  const tenant = await createTenant(rig, `neighbour ${neighbour.name}`);
  try {
    const begin = await neighbour.prepare({ rig, machine, tenant });
    const found = await alternate(begin, phases);
    return { ...found, made: await machine('take'), load1m: os.loadavg()[0]! };
  } finally {
    await stop();
    await tenant.close();
  }
}

async function alternate(begin: Begin, phases: Phases): Promise<Record<Mode, Published>> {
  const found: Record<Mode, Published> = { without: nothing(), with: nothing() };
  let end: End | undefined;
  await phases.settle();
  for (const mode of modes(phases.pairs)) {
    if (mode === 'with' && !end) {
      end = await begin();
      await phases.settle();
    } else if (mode === 'without' && end) {
      await end();
      end = undefined;
      await phases.settle();
    }
    const { publishes, operational } = await phases.measured();
    found[mode].publishes.push(...publishes);
    found[mode].operational.push(...operational);
  }
  await end?.();
  return found;
}

const nothing = (): Published => ({ publishes: [], operational: [] });

function modes(pairs: number): Mode[] {
  return Array.from({ length: pairs }, (_, n): Mode[] =>
    n % 2 === 0 ? ['without', 'with'] : ['with', 'without'],
  ).flat();
}
