import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from './remote';

/** A receiver that answers 200 after a while, until it is told to hurry. */
const waiting = new Set<ServerResponse>();
let delayMs = 0;
let requests = 0;

const server = createServer((request, response) => {
  requests++;
  request.resume();
  request.on('end', () => {
    if (delayMs === 0) return void response.end();
    waiting.add(response);
    const timer = setTimeout(() => answer(response), delayMs);
    response.once('close', () => {
      clearTimeout(timer);
      waiting.delete(response);
    });
  });
});
server.keepAliveTimeout = 60_000;

function answer(response: ServerResponse): void {
  waiting.delete(response);
  response.end();
}

const methods = {
  /** Listens on loopback; the URL that paths of webhooks are added to, without a slash at its end. */
  listen: () =>
    new Promise<string>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    ),
  /** What comes from now on is answered after this long. 0: at once, and so is what waits. */
  delay: (ms: number) => {
    delayMs = ms;
    if (ms === 0) for (const response of [...waiting]) answer(response);
  },
  /** Requests since the start, and of these the ones that wait for their answer. */
  counts: () => ({ requests, waiting: waiting.size }),
};

export type SlowReceiverMethods = typeof methods;
serve(methods);
