import type { TestServers } from './global-setup';

/** Stops what global-setup started. */
export default async function globalTeardown(): Promise<void> {
  const servers = (globalThis as TestServers).posthornTestServers ?? [];
  await Promise.all(servers.map((server) => server.stop()));
}
