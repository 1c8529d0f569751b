import { type Database, type DatabaseOptions, openDatabase } from '../../src/db/database';
import { createTestDatabase } from './database';
import { type Installation, startInstallation } from './installation';
import { type Receiver, type ReceiverHandler, startReceiver } from './receiver';

/**
 * One installation for all tests of the file that calls this at its top. What is returned is read by tests and hooks;
 * before them nothing has started.
 */
export function installationForFile(
  ...settings: Parameters<typeof startInstallation>
): Readonly<Pick<Installation, 'api' | 'databaseUrl'>> {
  let running: Installation | undefined;
  beforeAll(async () => {
    running = await startInstallation(...settings);
  });
  afterAll(() => running?.stop());
  return {
    get api() {
      return running!.api;
    },
    get databaseUrl() {
      return running!.databaseUrl;
    },
  };
}

/** A receiver of its own for each test of the file: what came to an earlier one is not in it. */
export function receiverForEach(handler?: ReceiverHandler): Readonly<Omit<Receiver, 'close'>> {
  const receiver = current();
  beforeEach(() => receiver.start(handler));
  afterEach(() => receiver.close());
  return receiver.live;
}

/** One receiver for all tests of the file. */
export function receiverForFile(handler?: ReceiverHandler): Readonly<Omit<Receiver, 'close'>> {
  const receiver = current();
  beforeAll(() => receiver.start(handler));
  afterAll(() => receiver.close());
  return receiver.live;
}

function current() {
  let receiver: Receiver | undefined;
  const live: Readonly<Omit<Receiver, 'close'>> = {
    get url() {
      return receiver!.url;
    },
    get requests() {
      return receiver!.requests;
    },
    waitFor: (...args) => receiver!.waitFor(...args),
    setHandler: (handler) => receiver!.setHandler(handler),
  };
  return {
    live,
    start: async (handler?: ReceiverHandler) => {
      receiver = await startReceiver(handler);
    },
    close: () => receiver?.close(),
  };
}

/** A database of its own, with connections to it, for all tests of the file. */
export function databaseForFile(
  options: Omit<DatabaseOptions, 'url' | 'applicationName'>,
): Database & { readonly url: string } {
  let created: Awaited<ReturnType<typeof createTestDatabase>> | undefined;
  let db: Database | undefined;
  beforeAll(async () => {
    created = await createTestDatabase();
    db = openDatabase({ ...options, url: created.url, applicationName: 'test' });
  });
  const close = async () => db?.close();
  afterAll(async () => {
    await close();
    await created?.drop();
  });
  return {
    close,
    get pool() {
      return db!.pool;
    },
    get kysely() {
      return db!.kysely;
    },
    get url() {
      return created!.url;
    },
  };
}
