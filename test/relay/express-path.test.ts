import { createSecretBox, parseEncryptionKeys } from '../../src/crypto/secret-box';
import { type Database, openDatabase } from '../../src/db/database';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import type { ExpressDelivery } from '../../src/db/queue/claim-express';
import { type Holding, startHolding } from '../../src/delivery/holding';
import { InFlight } from '../../src/delivery/in-flight';
import { createAttempts } from '../../src/delivery/make-attempt';
import { type Pauses, watchPauses } from '../../src/delivery/stale';
import { LEASE_MS } from '../../src/domain/limits';
import { PRIORITY_NAMES } from '../../src/domain/priorities';
import { createAddressPolicy } from '../../src/egress/address-policy';
import { createEgressAgent } from '../../src/egress/agent';
import { createSender } from '../../src/egress/send';
import { createLog } from '../../src/log';
import { ExpressPath } from '../../src/relay/express/express-path';
import type { RelayPath } from '../../src/relay/relay';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';

let posthorn: Installation;
let receiver: Receiver;
let db: Database;
let agent: ReturnType<typeof createEgressAgent>;
let holding: Holding;
let pauses: Pauses;
beforeAll(async () => {
  posthorn = await startInstallation({ POSTHORN_DELIVERY_MODE: 'express' }, { worker: false });
  db = openDatabase({ url: posthorn.databaseUrl, poolSize: 4, applicationName: 'test', planner: 'queue' });
  agent = createEgressAgent({
    policy: createAddressPolicy({ allowedCidrs: ['127.0.0.0/8'] }),
    connectTimeoutMs: 5_000,
    dnsTimeoutMs: 5_000,
    maxConnectionsPerOrigin: 10,
  });
  receiver = await startReceiver();
  pauses = watchPauses();
  holding = await startHolding(posthorn.databaseUrl, pauses, createLog('silent'));
});
afterAll(async () => {
  await holding?.stop();
  pauses?.stop();
  await agent?.destroy();
  await db?.close();
  await posthorn?.stop();
  await receiver?.close();
});

/** The path without a relay: the test claims for it. `onRecorded` is called after each record, before the path knows of it. */
function startPath(onRecorded: () => Promise<void>): RelayPath<ExpressDelivery> {
  const log = createLog('silent');
  const attempts = createAttempts({
    db,
    secretBox: createSecretBox(parseEncryptionKeys(posthorn.env.POSTHORN_ENCRYPTION_KEYS!)),
    sender: createSender({ agent, allowHttp: true }),
    ...{ holding, pauses, log },
    perWebhook: 20,
    acquireSlot: () => true,
    onOutboxRow: () => undefined,
  });
  return new ExpressPath({
    db,
    attempts: {
      post: attempts.post,
      async writeAttempt(record) {
        const written = await attempts.writeAttempt(record);
        await onRecorded();
        return written;
      },
    },
    inFlight: new InFlight(10, LEASE_MS),
    ...{ holding, pauses, log },
    capacity: 10,
    modes: () => ['express'],
    startWaiting: () => undefined,
  });
}

async function claimFor(path: RelayPath<ExpressDelivery>): Promise<number> {
  const hold = await holding.begin();
  const askedMs = performance.now();
  path.beforeClaim();
  const budget = path.budget();
  const { deliveries } = await path.claim({
    ...{
      priorities: PRIORITY_NAMES,
      cursors: FIRST_CURSORS,
      scan: 200,
      limit: path.capacity(),
      perWebhook: 20,
      budget,
    },
    allowance: path.tenants(),
    leaseMs: LEASE_MS,
    holder: hold.id,
    claimant: { path: 'express', modes: path.modes(), defaultMode: 'express' },
  });
  path.begin(deliveries, { hold, budget, askedMs });
  hold.end();
  return deliveries.length;
}

test('a retry that is claimed before the path knows of the failed attempt’s record is made once', async () => {
  const { api } = posthorn;
  await api.createWebhook(receiver, { events: ['again'] });
  const [id] = await api.publishDeliveries('again', 1);
  receiver.setHandler(async (_, n) => {
    if (n > 1) return { status: 204 };
    await api.ok('POST', `/deliveries/${id}/retry`);
    return { status: 500 };
  });
  const claimed: number[] = [];
  const path = startPath(async () => void claimed.push(await claimFor(path)));
  claimed.push(await claimFor(path));
  await receiver.waitFor(2);
  const delivered = await api.untilStatus(id!, 'delivered');
  expect(claimed.slice(0, 2)).toEqual([1, 1]);
  expect(delivered.attempts).toMatchObject([
    { number: 1, trigger: 'schedule', status_code: 500 },
    { number: 2, trigger: 'manual', status_code: 204 },
  ]);
  await path.stop();
  expect(receiver.requests).toHaveLength(2);
});

test('no delivery of a rate-limited webhook waits here: claimed in time and sent later, it would go too fast', async () => {
  const { api } = posthorn;
  const quick = await startReceiver();
  await api.createWebhook(quick, { events: ['paced'], rate_limit: '1000/1s', max_in_flight: 2 });
  await Promise.all(Array.from({ length: 40 }, (_, n) => api.publish('paced', { n })));
  const claimed: number[] = [];
  const path = startPath(async () => {
    if (quick.requests.length >= 20) quick.setHandler(() => 'hang');
    claimed.push(await claimFor(path));
  });
  claimed.push(await claimFor(path));
  await quick.waitFor(20).finally(() => quick.close());
  await path.stop();
  expect(Math.max(...claimed)).toBe(2);
});
