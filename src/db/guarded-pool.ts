import { Client, Pool, type PoolClient, type PoolConfig } from 'pg';
import { wasRefused } from './statement-errors';

/**
 * A connection whose state is not known must never be used again: a `begin` that timed out here and is carried out later
 * would put the next statements on it into a transaction that is never committed. So a connection returns to the pool only
 * if no statement on it has failed and the server's last message (the status byte of ReadyForQuery) says that it is idle,
 * with nothing sent since. Every other one is destroyed. This holds for `pool.query`, `pool.connect` and kysely
 * (./kysely-driver.ts).
 */

/** The parts of pg that its types leave out. */
type Inner = { readyForQuery?: boolean | null };

/** A connection that is closed as soon as a statement on it times out: nothing can be sent after it. */
class GuardedClient extends Client {
  /** Why it must not be used again. */
  failure: unknown;

  // biome-ignore lint/suspicious/noExplicitAny: it stands for all of pg's overloads
  override query(...args: any[]): any {
    const result: unknown = super.query.apply(this, args as never);
    // `pool.query` has callbacks instead of promises, and passes the failure itself when it releases the connection.
    if (result instanceof Promise) void result.catch((error: unknown) => this.fail(error));
    return result;
  }

  fail(error: unknown): void {
    this.failure ??= error;
    if (!wasRefused(error)) this.connection.stream.destroy();
  }

  get idle(): boolean {
    return (this as Inner).readyForQuery === true && this.getTransactionStatus() === 'I';
  }
}

type Taken = (error: Error | undefined, client: PoolClient | undefined, done: (release?: unknown) => void) => void;

class GuardedPool extends Pool {
  override connect(): Promise<PoolClient>;
  override connect(callback: Taken): void;
  override connect(callback?: Taken): Promise<PoolClient> | undefined {
    if (!callback) return super.connect().then(guard);
    super.connect((error, client, done) => {
      if (client) guard(client);
      callback(error, client, (client?.release as typeof done | undefined) ?? done);
    });
    return undefined;
  }
}

/** Checks a connection when it is released. The pool sets a new `release` each time that it hands one out. */
function guard(taken: PoolClient): PoolClient {
  const client = taken as PoolClient & GuardedClient;
  const release = client.release;
  client.release = (error) => {
    const failure = error || client.failure;
    if (!failure && client.idle) return release();
    release(true);
    // A Terminate message would wait behind the statement that timed out. If Postgres has just answered, the pool sends it.
    if (!wasRefused(failure)) client.connection.stream.destroy();
  };
  return client;
}

/** A pool of connections that are idle whenever they are handed out. A lost one fails its statement, not the process. */
export function openPool(options: PoolConfig & { connectionString: string }): Pool {
  const pool = new GuardedPool({ ...options, ...sessionOf(options), Client: GuardedClient as never });
  // The pool listens to idle connections only; without a listener, the loss of one in use would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/**
 * For every session. A Postgres that can compile plans (LLVM) does so at each execution of a plan with high estimated
 * cost, and a statement of milliseconds then takes a second.
 */
const EVERY_SESSION = '-c jit=off';

/**
 * A connection string and the server's settings for its session. pg would take those of the string
 * in place of ours: so they are taken out of it and come first, and ours after them.
 */
export function sessionOf({
  connectionString,
  options = '',
}: {
  connectionString: string;
  options?: string | undefined;
}) {
  const own = /([?&])options=([^&#]*)&?/.exec(connectionString);
  const theirs = own ? decodeURIComponent(own[2]!.replaceAll('+', ' ')) : '';
  return {
    connectionString: own ? connectionString.replace(own[0], own[1]!) : connectionString,
    options: [theirs, options, EVERY_SESSION].filter(Boolean).join(' '),
  };
}
