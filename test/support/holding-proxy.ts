import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on loopback that can hold bytes back, as a network or a failover does: no end, no error, just silence. */
export type HoldingProxy = {
  port: number;
  /** From now on nothing goes through, in either direction; new connections are taken and hear nothing. */
  hold(): void;
  /** What was held back goes on, in order. */
  release(): void;
  /** Every connection is reset, as when a machine between the two goes away. */
  cut(): void;
  close(): Promise<void>;
};

/** Starts a proxy in front of a server on loopback. */
export async function startHoldingProxy(targetPort: number): Promise<HoldingProxy> {
  const sockets = new Set<Socket>();
  let held = false;
  const add = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    if (held) socket.pause();
  };
  // What one side ends, its partner ends too, once everything before it has gone through.
  const pass = (from: Socket, to: Socket) => {
    from.on('data', (bytes) => {
      if (!to.destroyed) to.write(bytes);
    });
    from.on('end', () => to.end());
    from.on('close', () => to.destroySoon());
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    add(client);
    add(upstream);
    pass(client, upstream);
    pass(upstream, client);
    // Adding a listener for data starts the flow.
    if (held) for (const socket of [client, upstream]) socket.pause();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    hold() {
      held = true;
      for (const socket of sockets) socket.pause();
    },
    release() {
      held = false;
      for (const socket of sockets) socket.resume();
    },
    cut,
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
