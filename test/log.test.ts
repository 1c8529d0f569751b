import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { Client as Postgres } from 'pg';
import { reasonOf } from '../src/log';
import { connectTemporal } from './support/temporal';

/** A port on which nothing listens any more. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
const failure = (work: Promise<unknown>) =>
  work.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error,
  );

describe('why something failed', () => {
  test('a workflow that could not be started says what the server said', async () => {
    const { client, close } = await connectTemporal();
    const started = new Client({ connection: client.connection, namespace: 'no-such' }).workflow.start('any', {
      taskQueue: 'any',
      workflowId: 'any',
    });
    const reason = reasonOf(await failure(started));
    await close();
    expect(reason).toBe("Namespace not found: 'no-such'");
  });

  test('over the connection that workers share, with the status', async () => {
    const connection = await NativeConnection.connect({ address: process.env.POSTHORN_TEST_TEMPORAL_ADDRESS! });
    const { workflow } = new Client({ connection });
    const memo = { much: 'x'.repeat(3_000_000) };
    const reason = reasonOf(await failure(workflow.start('any', { taskQueue: 'any', workflowId: 'any', memo })));
    const typed = { taskQueue: 'any', workflowId: 'any', searchAttributes: { NoSuchAttribute: ['x'] } };
    const unknown = reasonOf(await failure(workflow.start('any', typed)));
    await connection.close();
    expect(reason).toMatch(/INVALID_ARGUMENT/);
    expect(unknown).toMatch(/NoSuchAttribute: INVALID_ARGUMENT/);
  });

  test('a server that is away, and one that does not answer', async () => {
    const gone = await closedPort();
    const away = Connection.lazy({ address: `127.0.0.1:${gone}`, interceptors: [] });
    const asked = new Client({ connection: away }).workflow.getHandle('any').describe();
    expect(reasonOf(await failure(asked))).toMatch(/UNAVAILABLE.*ECONNREFUSED/);
    await away.close();

    const sockets: Socket[] = [];
    const silent: Server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const mute = Connection.lazy({ address: `127.0.0.1:${port}` });
    const client = new Client({ connection: mute });
    const late = client.withDeadline(Date.now() + 500, () => client.workflow.getHandle('any').signal('any'));
    expect(reasonOf(await failure(late))).toMatch(/DEADLINE_EXCEEDED/);
    await mute.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  test('Postgres: its message and code, and no value of any row', async () => {
    const postgres = new Postgres({ connectionString: process.env.POSTHORN_TEST_DATABASE_URL! });
    await postgres.connect();
    await postgres.query('create temp table names (name text primary key)');
    await postgres.query(`insert into names values ('hidden')`);
    const reason = reasonOf(await failure(postgres.query(`insert into names values ('hidden')`)));
    await postgres.end();
    expect(reason).toMatch(/duplicate key.*: 23505$/);
    expect(reason).not.toContain('hidden');
  });

  test('several addresses that refuse: an error without a message of its own', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' });
    expect(reasonOf(new AggregateError([refused]))).toContain('connect ECONNREFUSED ::1:1');
  });

  test('passwords in URLs, endless pages and endless causes', () => {
    expect(reasonOf(new Error('no route to postgres://me:secret@db/x'))).toBe('no route to postgres://db/x');
    expect(reasonOf(new Error('x'.repeat(10_000))).length).toBeLessThan(600);
    const looped: Error & { cause?: unknown } = new Error('round');
    looped.cause = looped;
    expect(reasonOf(looped)).toBe('round');
    for (const odd of [undefined, null, {}, '']) expect(reasonOf(odd)).toBe('unknown');
    expect(reasonOf('a text')).toBe('a text');
  });
});
