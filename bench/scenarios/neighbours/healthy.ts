import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { nowMs } from '../../clock';
import { eventData } from '../../event-data';
import { nextMark } from '../../mark';
import type { Rig } from '../../rig';
import type { Sent } from '../../steady';

/** A publish of the healthy tenant. `status` 0: no answer came. */
export type Publish = Sent & { status: number; answeredMs: number };

/** Long enough for whatever is only slow. */
const LIMIT_MS = 30_000;

export type Healthy = {
  /** Publishes so many events a second for so long, at equal distances and however long an answer takes. */
  publish(round: string, seconds: number): Promise<Publish[]>;
  close(): Promise<void>;
};

/** The healthy tenant: unlike the rig's target it goes on whatever it is answered, and keeps that. */
export function createHealthy(
  rig: Rig,
  load: { type: string; rate: number; bytes: number; connections: number },
): Healthy {
  const { type, rate, bytes, connections } = load;
  const api = new Pool(rig.apiUrl, { connections, pipelining: 1, headersTimeout: LIMIT_MS, bodyTimeout: LIMIT_MS });
  const headers = { authorization: `Bearer ${rig.apiKey}`, 'content-type': 'application/json' };

  async function publishOne(round: string): Promise<Publish> {
    const mark = nextMark(round);
    const body = JSON.stringify({ type, data: eventData(mark, bytes) });
    const beganMs = nowMs();
    const status = await api
      .request({ method: 'POST', path: '/api/v1/events', headers, body })
      .then(async (answer) => {
        await answer.body.dump();
        return answer.statusCode;
      })
      .catch(() => 0);
    return { mark, beganMs, status, answeredMs: nowMs() };
  }
  return {
    async publish(round, seconds) {
      const startMs = nowMs();
      const publishes: Promise<Publish>[] = [];
      for (let n = 0; n < rate * seconds; n++) {
        const waitMs = startMs + (n * 1_000) / rate - nowMs();
        if (waitMs > 0) await sleep(waitMs);
        publishes.push(publishOne(round));
      }
      await sleep(Math.max(0, startMs + seconds * 1_000 - nowMs()));
      return Promise.all(publishes);
    },
    close: () => api.close(),
  };
}
