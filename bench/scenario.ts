import type { Option } from 'commander';
import type { DeliveryMode } from '../src/domain/delivery-mode';
import type { Figures } from './figures';
import type { Profiled, Rig, RigOptions } from './rig';

/** What every scenario takes on the command line. */
export type BenchOptions = {
  /** POSTHORN_DELIVERY_MODE of the installation that is measured. */
  mode: DeliveryMode;
  json: boolean;
  /** Writes the result into docs/benchmarks.md. */
  write: boolean;
  /** A module that makes another sender the target. */
  adapter?: string;
  connections: number;
  payloadBytes: number;
  /** The folder of another Postgres' programs. */
  postgres?: string;
  cpuProf?: string;
  limitMinutes: number;
  patienceSeconds: number;
};

/** How deliveries came out. Anything but zeros (and some signatures) makes the figures worthless. */
export type Proof = { lost: number; duplicates: number; unfinished: number; verified: number; refused: number };

/** The same of events that were only published. */
export type PublishProof = Pick<Proof, 'lost' | 'duplicates'>;

/** One entry per repeat, and the proof over all of them, warm-up included. */
export type Outcome = {
  repeats: Figures[];
  proof: Proof | PublishProof;
  settings: Record<string, unknown>;
  /** What the figures should have been and are not. They may be believed all the same, and are written; the run fails. */
  missed?: string[];
};

/** `options` are those that it takes besides; `run` gets them all. */
export type Scenario = {
  about: string;
  options: Option[];
  /** Publishing connections, unless told otherwise. */
  connections?: number;
  /** Who makes the attempts, unless told otherwise: `workflow`. */
  mode?: DeliveryMode;
  /** Settings of the installation that it cannot do without; `start` starts one more process before it. */
  environment?: RigOptions['environment'];
  /** What of the rig it needs that another sender does not have: its adapter is refused. */
  needs?: 'posthorn';
  /** Worker processes to begin with. */
  workers?: (options: BenchOptions) => number;
  /** What tells this run from others of the scenario, in the docs. */
  variant?: (options: BenchOptions) => string;
  /** Whose CPU profile `--cpu-prof` writes: the worker's by default. */
  profiled?: Profiled;
  run(rig: Rig, options: BenchOptions): Promise<Outcome>;
};
