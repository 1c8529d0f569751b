import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from './remote';

/** A receiver that takes every request and never answers one: the sender ends it, by its timeout. */
let requests = 0;

const server = createServer((request) => {
  requests++;
  request.resume();
});

const methods = {
  /** Listens on loopback; the URL that paths of webhooks are added to, without a slash at its end. */
  listen: () =>
    new Promise<string>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    ),
  /** Requests since the start. */
  count: () => requests,
};

export type BlackHoleMethods = typeof methods;
serve(methods);
