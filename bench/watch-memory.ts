import type { Rig } from './rig';

const SAMPLES = 5;
const MARGIN_MS = 200;

/** The memory of api and worker, MB, after each fifth of a load that lasts so long; to be called when it is over. */
export function watchMemory(rig: Rig, seconds: number): () => Record<string, number> {
  const samples: Record<string, number> = {};
  const sample = () => {
    const { api, worker } = rig.memory();
    samples[`after ${Math.round((seconds * (Object.keys(samples).length + 1)) / SAMPLES)} s`] = Math.round(
      api + worker,
    );
  };
  // A little early, so that the last one comes before the load ends.
  const timer = setInterval(sample, (seconds * 1_000 - MARGIN_MS) / SAMPLES);
  return () => {
    clearInterval(timer);
    return samples;
  };
}
