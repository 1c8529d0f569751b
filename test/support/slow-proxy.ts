import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on loopback that passes everything on late, in order: a server that answers, and takes its time. */
export type SlowProxy = {
  port: number;
  /** From now on bytes take this long, each way. */
  setDelay(ms: number): void;
  close(): Promise<void>;
};

/** Starts a proxy in front of a server on loopback; without a delay at first. */
export async function startSlowProxy(targetPort: number): Promise<SlowProxy> {
  const sockets = new Set<Socket>();
  let delayMs = 0;
  const pass = (from: Socket, to: Socket) => {
    sockets.add(from);
    let lastAtMs = 0;
    const later = (work: () => void) => {
      // A shorter delay does not let later bytes overtake earlier ones.
      lastAtMs = Math.max(lastAtMs, performance.now() + delayMs);
      setTimeout(work, lastAtMs - performance.now());
    };
    from.on('data', (bytes) => later(() => to.destroyed || to.write(bytes)));
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      later(() => to.destroySoon());
    });
  };
  const server = createServer((client) => {
    const upstream = connect({ port: targetPort, host: '127.0.0.1' });
    pass(client, upstream);
    pass(upstream, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    setDelay(ms) {
      delayMs = ms;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
