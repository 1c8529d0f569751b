import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { challengeIn, verify } from '../inbox';

/** The demo's endpoint: can be up or down, and remembers what arrived. */
export async function startReceiver() {
  const arrivals: { eventId: string; attempt: number; verified: boolean; atMs: number }[] = [];
  let status = 204;
  let secret = '';
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      // An installation may require that endpoints are verified.
      const challenge = challengeIn(Buffer.concat(chunks));
      if (challenge !== undefined) return void res.writeHead(200).end(challenge);
      const header = (name: string) => String(req.headers[name] ?? '');
      arrivals.push({
        eventId: header('webhook-id'),
        attempt: Number(header('x-webhook-attempt')),
        verified: verify(secret, header, Buffer.concat(chunks)),
        atMs: performance.now(),
      });
      res.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    arrivals,
    expectSecret: (value: string) => {
      secret = value;
    },
    up: () => {
      status = 204;
    },
    down: () => {
      status = 503;
    },
    answer: (code: number) => {
      status = code;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;
