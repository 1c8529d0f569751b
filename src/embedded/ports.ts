import { createServer } from 'node:net';

/** A TCP port that nothing on loopback listens on right now. */
export async function freePort(): Promise<number> {
  return listenOnce(0);
}

/**
 * Fails when something listens on `port`. `setting` is what the user changes to get another port, as in
 * `--temporal-port`.
 */
export async function assertPortFree(port: number, what: string, setting: string): Promise<void> {
  try {
    await listenOnce(port);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new Error(
        `Port ${port} for ${what} is already in use. Stop what listens there, or choose another port with ${setting}.`,
      );
    }
    throw new Error(`Port ${port} for ${what} cannot be used (${message}). Choose another port with ${setting}.`);
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : port));
    });
  });
}
