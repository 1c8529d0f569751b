import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { EmbeddedTemporal } from '../../src/embedded/temporal';
import { startTemporal } from '../../src/embedded/temporal';

const folder = mkdtempSync(join(tmpdir(), 'posthorn-test-'));
const dbFile = join(folder, 'temporal.db');
const running: EmbeddedTemporal[] = [];

async function start(options: Parameters<typeof startTemporal>[0]): Promise<EmbeddedTemporal> {
  const server = await startTemporal(options);
  running.push(server);
  return server;
}

async function withClient<T>(address: string, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(new Client({ connection, namespace: 'posthorn-test' }));
  } finally {
    await connection.close();
  }
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(['stop', 'kill9'] as const)('workflows on a file outlive %s', async (end) => {
  const options = { dbFile, namespace: 'posthorn-test' };
  const first = await start(options);
  await withClient(first.address, (client) =>
    client.workflow.start('any', {
      taskQueue: 'nobody',
      workflowId: end,
      searchAttributes: { PosthornTenant: ['ten'], PosthornState: ['retrying'] }, // refused unless registered
    }),
  );
  await first[end]();
  await first.exited;

  const second = await start(options);
  const { status } = await withClient(second.address, (client) => client.workflow.getHandle(end).describe());
  expect(status.name).toBe('RUNNING');
});

test('the web UI answers where it is said to be', async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port: uiPort } = probe.address() as { port: number };
  const taken = startTemporal({ uiPort, uiPortSetting: '--ui' });
  await expect(taken).rejects.toThrow(`Port ${uiPort} for Temporal's web UI is already in use`);
  await new Promise((resolve) => probe.close(resolve));

  const server = await start({ uiPort });
  expect((await fetch(server.uiUrl as string)).status).toBe(200);
});
