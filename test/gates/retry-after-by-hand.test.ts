import { installationForFile, receiverForEach } from '../support/for-tests';
import type { ReceiverAnswer } from '../support/receiver';
import { until } from '../support/until';

const posthorn = installationForFile();
const receiver = receiverForEach();

const HOUR_MS = 3_600_000;
const WAIT = { schedule: ['1h', '1h'], jitter: 0 };

type Shown = { status: string; attempt_count: number; next_attempt_at: string };

/** A delivery whose first attempt failed, and whose manual one gets this answer; how long it waits then, and its workflow says so. */
async function waitAfterManual(type: string, mode: string, answer: ReceiverAnswer): Promise<number> {
  const { api } = posthorn;
  receiver.setHandler((_, n) => (n === 1 ? { status: 500 } : answer));
  await api.createWebhook(receiver, { events: [type], mode, retry_policy: WAIT });
  const id = await api.onlyDelivery((await api.publish(type)).id);
  await api.untilStatus(id, 'retrying');
  await api.ok('POST', `/deliveries/${id}/retry`);
  const shown = await until('the manual attempt', async () => {
    const found = await api.ok<Shown>('GET', `/deliveries/${id}`);
    return found.status === 'retrying' && found.attempt_count === 2 && found;
  });
  const at = Date.parse(shown.next_attempt_at);
  await until('the workflow to wait for as long', async () => {
    const { source, next_attempt_at } = await api.ok('GET', `/deliveries/${id}/status`);
    return source === 'workflow' && Math.abs(Date.parse(next_attempt_at) - at) < HOUR_MS / 4;
  });
  return at - receiver.requests[1]!.at;
}

describe.each(['workflow', 'express'])('on the %s path', (mode) => {
  test.each<[string, number, string, number]>([
    ['429 in seconds', 429, '7200', 2],
    ['503 in seconds', 503, '10800', 3],
    ['a redirect in seconds', 302, '14400', 4],
  ])('a Retry-After to a manual attempt lengthens the wait: %s', async (name, status, value, hours) => {
    const type = `asks.${mode}.${name.replace(/\W+/g, '_').toLowerCase()}`;
    const waitMs = await waitAfterManual(type, mode, { status, headers: { 'retry-after': value } });
    expect(Math.round(waitMs / HOUR_MS)).toBe(hours);
  });

  test('a date counts as well', async () => {
    const date = new Date(Date.now() + 5 * HOUR_MS).toUTCString();
    const waitMs = await waitAfterManual(`date.${mode}`, mode, { status: 503, headers: { 'retry-after': date } });
    expect(Math.round(waitMs / HOUR_MS)).toBe(5);
  });

  test('one that ends before the wait does leaves it as it was', async () => {
    const waitMs = await waitAfterManual(`soon.${mode}`, mode, { status: 503, headers: { 'retry-after': '1' } });
    expect(Math.round(waitMs / HOUR_MS)).toBe(1);
  });

  test('a manual attempt that asks for nothing leaves the wait as it was', async () => {
    const waitMs = await waitAfterManual(`nothing.${mode}`, mode, { status: 500 });
    expect(Math.round(waitMs / HOUR_MS)).toBe(1);
  });
});
