import { type Neighbour, times } from './neighbour';

/** Where another machine would have its own address, loopback has 2^24 of them; on Linux all of them are there. */
const ADDRESSES = process.platform === 'linux' ? times(16, (n) => `127.0.0.${n + 2}`) : ['127.0.0.1'];
const SOCKETS = 200;
const PIPELINED = 1_000;
const LIFE_MS = 5_000;

/** B4: somebody without a key, who asks for the documentation and never reads an answer. */
export const unreadAnswers: Neighbour = {
  name: 'B4',
  about: `${SOCKETS} sockets without a key, each with ${PIPELINED} pipelined GET /docs, whose answers are never read`,
  async prepare({ rig, machine }) {
    return async () => {
      const load = { path: '/docs', addresses: ADDRESSES, sockets: SOCKETS, pipelined: PIPELINED, lifeMs: LIFE_MS };
      await machine('flood', { url: rig.apiUrl, ...load });
      return () => machine('end');
    };
  },
};
