import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { installationForFile, receiverForEach } from '../support/for-tests';

const posthorn = installationForFile();
const receiver = receiverForEach();

let types = 0;

async function deliverTo(
  settings: object,
): Promise<{ webhook: { id: string; secret: string }; id: string; type: string }> {
  const { api } = posthorn;
  const type = `policies.t${types++}`;
  const webhook = await api.createWebhook(receiver, { events: [type], ...settings });
  return { webhook, id: await api.onlyDelivery((await api.publish(type)).id), type };
}

describe('retry policies', () => {
  test('client_errors: fail ends the delivery at a 4xx, and not at a 429', async () => {
    receiver.setHandler((_, n) => ({ status: n === 1 ? 429 : 422 }));
    const { id } = await deliverTo({ retry_policy: { schedule: ['100ms', '1h'], client_errors: 'fail' } });
    const failed = await posthorn.api.untilStatus(id, 'failed');
    expect(failed).toMatchObject({ failed_because: 'client_error', attempt_count: 2 });
  });

  test('no attempt is made past max_duration', async () => {
    receiver.setHandler(() => ({ status: 500 }));
    const { id } = await deliverTo({
      retry_policy: { initial: '400ms', factor: 1, max_attempts: 50, max_duration: '1s', jitter: 0 },
      circuit_breaker: null,
    });
    const failed = await posthorn.api.untilStatus(id, 'failed');
    expect(failed).toMatchObject({ failed_because: 'exhausted' });
    // The third would have been due after 800 ms and a fourth after 1200: at most three in all.
    expect(failed.attempt_count).toBeGreaterThan(1);
    expect(failed.attempt_count).toBeLessThanOrEqual(3);
  });

  test('a policy that is changed in the middle counts from the next attempt on', async () => {
    const { api } = posthorn;
    receiver.setHandler(() => ({ status: 500 }));
    const { webhook, id } = await deliverTo({ retry_policy: { schedule: ['1h', '1h', '1h'] } });
    await api.untilStatus(id, 'retrying');
    await api.ok('PATCH', `/webhooks/${webhook.id}`, { retry_policy: { schedule: ['1h'] } });
    await api.ok('POST', `/deliveries/${id}/reschedule`, { at: new Date() });
    expect(await api.untilStatus(id, 'failed')).toMatchObject({ failed_because: 'exhausted', attempt_count: 2 });
  });

  test('a redirect is a failure and is not followed, least of all to where metadata is served', async () => {
    receiver.setHandler(() => ({ status: 302, headers: { location: 'http://169.254.169.254/latest/meta-data/' } }));
    const { id } = await deliverTo({ retry_policy: { schedule: [] } });
    const failed = await posthorn.api.untilStatus(id, 'failed');
    expect(failed.attempts).toMatchObject([{ status_code: 302, error: null }]);
    expect(receiver.requests).toHaveLength(1);
  });
});

describe('signatures and headers', () => {
  test('every style that a webhook asks for goes with each delivery, and its own headers', async () => {
    const { api } = posthorn;
    const { webhook, id } = await deliverTo({
      signature_styles: ['github', 'stripe', 'x-webhook'],
      headers: { authorization: 'Bearer planted-credential', 'X-Team': 'billing' },
    });
    const [request] = await receiver.waitFor(1);
    const { headers, body } = request!;
    const hmac = (text: Buffer | string) => createHmac('sha256', webhook.secret).update(text).digest('hex');
    new Webhook(webhook.secret).verify(body, headers as Record<string, string>);
    expect(headers).toMatchObject({
      authorization: 'Bearer planted-credential',
      'x-team': 'billing',
      'x-webhook-signature': `sha256=${hmac(body)}`,
      'x-hub-signature-256': `sha256=${hmac(body)}`,
    });
    const time = headers['webhook-timestamp'];
    expect(headers['stripe-signature']).toBe(`t=${time},v1=${hmac(`${time}.${body}`)}`);
    const { attempts } = await api.untilStatus(id, 'delivered');
    expect(JSON.stringify(attempts)).not.toContain('planted-credential');
    expect(JSON.stringify(await api.ok('GET', `/webhooks/${webhook.id}`))).not.toContain('planted-credential');
  });

  test('during a rotation both secrets sign, and afterwards only the new one', async () => {
    const { api } = posthorn;
    const { webhook, type } = await deliverTo({});
    await receiver.waitFor(1);
    const path = `/webhooks/${webhook.id}/secret`;
    const rotated = await api.ok<{ secret: string }>('POST', `${path}/rotate`, { grace: '1h' });
    expect(await api.ok('GET', path)).toMatchObject({ secret: rotated.secret, previous: [{}] });
    await api.publish(type);
    const verifies = (n: number, secret: string) => {
      const { body, headers } = receiver.requests[n]!;
      new Webhook(secret).verify(body, headers as Record<string, string>);
    };
    await receiver.waitFor(2);
    verifies(1, webhook.secret);
    verifies(1, rotated.secret);

    const last = await api.ok<{ secret: string }>('POST', `${path}/rotate`, { grace: '0s' });
    await api.publish(type);
    await receiver.waitFor(3);
    verifies(2, last.secret);
    expect(() => verifies(2, webhook.secret)).toThrow();
    expect(() => verifies(2, rotated.secret)).toThrow();
  });
});
