import { fromUnrecorded, toUnrecorded } from '../../src/delivery/attempt-record';
import type { SentAs } from '../../src/domain/sent-as';
import { attemptOf, DELIVERED } from '../db/support';

const claimed = {
  ...{ deliveryId: 'd', tenantId: 't', webhookId: 'w', eventId: 'e', eventType: 'a.b', host: 'h' },
  ...{ attempt: 0, trigger: 'schedule' },
} as unknown as Parameters<typeof attemptOf>[0];
const request = { deliveryId: 'd', number: 1, cause: 'claimed' } as const;

test.each<[sentAs: SentAs | null, afterwards: SentAs | null]>([
  [null, null],
  [
    { bodyFormat: 'exact', envelope: { shape: ['$data', 'secret'] }, attempt: 1, retryable: true, sentAtMs: 1 },
    'unknown',
  ],
])('of a body made as %j, Temporal keeps no more than that it was made', (sentAs, afterwards) => {
  const unrecorded = toUnrecorded({ ...attemptOf(claimed, 1, DELIVERED), sentAs }, request);
  expect(JSON.stringify(unrecorded)).not.toMatch(/shape|secret/);
  expect(fromUnrecorded(unrecorded, claimed).sentAs).toBe(afterwards);
});
