import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { installationForFile } from '../support/for-tests';

const fixture = (name: string) => readFileSync(join(__dirname, '../support/fixtures', name), 'utf8');

const installation = installationForFile();
const server = createServer({ key: fixture('self-signed-key.pem'), cert: fixture('self-signed-cert.pem') });
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => server.close());

test.each(['workflow', 'express'])(
  'an attempt of mode %s that a certificate stopped says why: in its delivery, its attempts and the dead letters',
  async (mode) => {
    const { api } = installation;
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await api.ok('POST', '/webhooks', { url, events: [`told.${mode}`], mode, retry_policy: { schedule: [] } });
    const id = await api.onlyDelivery((await api.publish(`told.${mode}`)).id);
    const { attempts } = await api.untilStatus(id, 'failed');
    const error = {
      code: 'tls_certificate_invalid',
      message: expect.stringContaining('subject CN=localhost; issuer CN=localhost'),
      details: {
        cause: 'self_signed',
        library_code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
        reason: expect.any(String),
        certificate: {
          subject: 'CN=localhost',
          issuer: 'CN=localhost',
          names: ['DNS:localhost'],
          valid_from: expect.any(String),
          valid_to: expect.any(String),
        },
      },
    };
    expect(attempts).toMatchObject([{ error, remote_address: '127.0.0.1' }]);
    const { data } = await api.ok('GET', '/dead-letters?limit=200');
    expect(data.find((letter: { id: string }) => letter.id === id).last_error).toEqual(error);
  },
);
