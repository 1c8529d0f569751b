import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { otherTenant } from './support';

/** What an installation asks for at least, whatever its tenants set. */

const MODES = ['off', 'optional', 'required'];
/** A public address that nobody connects to: no worker runs. */
const URL_OF_NOBODY = 'https://93.184.215.14/hook';

describe.each(MODES)('a minimum of %s', (minimum) => {
  let posthorn: Installation;
  beforeAll(async () => {
    posthorn = await startInstallation({ POSTHORN_MIN_ENDPOINT_VERIFICATION: minimum }, { worker: false });
  });
  afterAll(() => posthorn?.stop());

  const create = (api: TestApi) => api.ok('POST', '/webhooks', { url: URL_OF_NOBODY, events: ['*'] });
  const inForce = async (api: TestApi) => (await api.ok('GET', '/settings')).endpoint_verification;
  /** Whether deliveries to the webhook are held. */
  async function holds(api: TestApi, id: string): Promise<boolean> {
    const { deliveries, id: event } = await api.publish();
    expect(deliveries).toBeGreaterThan(0);
    const mine = (await api.deliveriesOf(event)).find(({ webhook_id }) => webhook_id === id)!;
    return (await api.delivery(mine.id)).held_because === 'unverified';
  }

  test.each([undefined, ...MODES])('is the least that holds for a tenant that sets %s', async (own) => {
    const api = await otherTenant(posthorn, `sets ${own}`);
    const expected = MODES[Math.max(MODES.indexOf(minimum), MODES.indexOf(own ?? 'off'))]!;
    if (own) {
      const patched = await api.ok('PATCH', '/settings', { endpoint_verification: own });
      expect(patched.endpoint_verification).toBe(expected);
    }
    expect(await inForce(api)).toBe(expected);
    const { id, verification } = await create(api);
    expect(verification.status).toBe(expected === 'off' ? 'unverified' : 'pending');
    expect(await holds(api, id)).toBe(expected === 'required');

    // A new URL is asked like the first one.
    const moved = await api.ok('PATCH', `/webhooks/${id}`, { url: `${URL_OF_NOBODY}/2` });
    expect(moved.verification.status).toBe(expected === 'off' ? 'unverified' : 'pending');
    expect(await holds(api, id)).toBe(expected === 'required');
  });

  test('what is held is let go by a tenant only as far as that', async () => {
    const api = await otherTenant(posthorn, 'turns away');
    await api.ok('PATCH', '/settings', { endpoint_verification: 'required' });
    const { id } = await create(api);
    expect(await holds(api, id)).toBe(true);
    await api.ok('PATCH', '/settings', { endpoint_verification: 'off' });
    expect(await inForce(api)).toBe(minimum);
    expect(await holds(api, id)).toBe(minimum === 'required');
  });
});
