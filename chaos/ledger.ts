import type { Call } from './client';
import type { HookKind } from './hooks';

/** What a producer asked for: one event, or several in one request. */
export type Publish = {
  n: number;
  tenant: number;
  /** In the data of each event. */
  marks: string[];
  type: string;
  flavour: 'plain' | 'own_id' | 'key' | 'batch';
  calls: Call[];
  /** What it was answered in the end, by mark. */
  accepted: Map<string, { id: string; deliveries: number }>;
};

export type Hook = {
  /** In the path of its URL. */
  name: string;
  kind: HookKind;
  tenant: number;
  id: string;
  /** Times at which each version of its URL was asked for and answered; without an answer it may or may not be. */
  urls: Change[];
  /** The same of its secrets, and whether those before it went on signing. */
  secrets: (Change & { grace: boolean })[];
  /** Changes of its status, oldest first. */
  gates: (Change & { to: 'paused' | 'active' })[];
  deleted?: Change;
  /** Stays paused at the end. */
  parked?: boolean;
};

/** `answeredAt` without `done`: nobody knows. */
export type Change = { askedAt: number; answeredAt: number; done: boolean };

/** Something an operator asked for. Refused ones are here, too. */
export type Deed = {
  action: string;
  tenant: number;
  /** A public id, as the audit log has it. */
  target: string;
  call: Call;
};

/** Everything that was asked of the apis and answered, in the harness's own memory. */
export type Ledger = {
  publishes: Publish[];
  hooks: Hook[];
  deeds: Deed[];
  /** Of answers that nobody may ever get. */
  badAnswers: Call[];
};

export const createLedger = (): Ledger => ({ publishes: [], hooks: [], deeds: [], badAnswers: [] });

export const toChange = (call: Call, done: boolean): Change => ({
  askedAt: call.at,
  answeredAt: call.answeredAt,
  done,
});
