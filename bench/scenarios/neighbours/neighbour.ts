import type { NeighbourMethods } from '../../neighbour';
import type { Remote } from '../../remote';
import type { Rig } from '../../rig';
import type { Tenant } from './tenant';

/** Somebody whose doings another tenant should not notice. */
export type Neighbour = {
  /** As `--only` picks it, such as B1. */
  name: string;
  about: string;
  /** Makes what it needs, once; then it does nothing until it is begun. */
  prepare(place: Place): Promise<Begin>;
};

/** Where it lives: the installation, its own machine, and who it is. */
export type Place = {
  rig: Rig;
  /** Makes its requests, in a process of its own. */
  machine: Remote<NeighbourMethods>;
  tenant: Tenant;
};

/** Begins its doings; may be called again once they have ended. */
export type Begin = () => Promise<End>;
/** Ends them, so that nothing of them is under way any more. */
export type End = () => Promise<void>;

export const times = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n));
