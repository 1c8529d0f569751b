import type { Figures } from './figures';
import type { Rig } from './rig';

export type Lane = 'workflow';
export const LANES: readonly Lane[] = ['workflow'];

/** What can be given on the command line; a scenario uses what it needs. */
export type BenchOptions = {
  lane: Lane;
  json: boolean;
  repeats: number;
  /** Sizes; by default the scenario's own. */
  events?: number;
  warmup?: number;
  connections: number;
  payloadBytes: number;
  cpuProf?: string;
  limitMinutes: number;
};

/** How deliveries came out. Anything but zeros (and some signatures) makes the figures worthless. */
export type Proof = { lost: number; duplicates: number; unfinished: number; verified: number; refused: number };

/** One entry per repeat, and the proof over all of them, warm-up included. */
export type Outcome = { repeats: Figures[]; proof: Proof; settings: Record<string, unknown> };

export type Scenario = { about: string; run(rig: Rig, options: BenchOptions): Promise<Outcome> };
