import type { Begin, Neighbour } from './neighbour';

/** All of these at the same time, by one tenant. */
export function together(name: string, neighbours: readonly Neighbour[]): Neighbour {
  return {
    name,
    about: `together: ${neighbours.map(({ about }) => about).join('; ')}`,
    async prepare(place) {
      const begins: Begin[] = [];
      for (const neighbour of neighbours) begins.push(await neighbour.prepare(place));
      return async () => {
        const ends = await Promise.all(begins.map((begin) => begin()));
        return async () => void (await Promise.all(ends.map((end) => end())));
      };
    },
  };
}
