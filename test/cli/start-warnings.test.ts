import { sayWarnings, startWarnings } from '../../src/cli/start-warnings';
import { readConfig } from '../../src/config';
import { createLog } from '../../src/log';
import { createTestDatabase } from '../support/database';
import { testEnvironment } from '../support/environment';
import { startRole } from '../support/processes';

const USER = 1_000;
const textsOf = (env: Record<string, string>, uid = USER) =>
  startWarnings(readConfig(env), env, uid).map(({ text }) => text);
const aboutOf = (env: Record<string, string>, uid = USER) =>
  startWarnings(readConfig(env), env, uid).map(({ about }) => about);

describe('unknown names', () => {
  test.each([
    ['POSTHORN_MAX_IN_FLIGTH', 'POSTHORN_MAX_IN_FLIGHT'],
    ['POSTHORN_ALLOWED_CIDR', 'POSTHORN_ALLOWED_CIDRS'],
    ['POSTHORN_ENCRYPTION_KEY', 'POSTHORN_ENCRYPTION_KEYS'],
    ['POSTHORN_LOGLEVEL', 'POSTHORN_LOG_LEVEL'],
  ])('%s: said, with the one that was meant', (name, meant) => {
    expect(textsOf({ [name]: 'a-secret' })).toEqual([`${name} is no setting and has no effect; is ${meant} meant?`]);
  });
  test('a name that is near to none is said without a suggestion', () => {
    expect(textsOf({ POSTHORN_COLOUR_OF_THE_HORN: 'red' })).toEqual([
      'POSTHORN_COLOUR_OF_THE_HORN is no setting and has no effect',
    ]);
  });
  test.each([
    'POSTHORN_MAX_IN_FLIGHT',
    'POSTHORN_URL',
    'POSTHORN_API_KEY',
    'POSTHORN_API_SERVICE_HOST',
    'POSTHORN_API_PORT_8420_TCP_ADDR',
    'POSTHORNED',
    'OTHER_POSTHORN_X',
  ])('%s: nothing to say', (name) => {
    expect(textsOf({ [name]: '5' })).toEqual([]);
  });
  test('an empty one counts as not set', () => expect(textsOf({ POSTHORN_TYPO: '' })).toEqual([]));
});

describe('lists that are open to the world', () => {
  test.each([
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/8,0.0.0.0/0',
    '0.0.0.0/1,128.0.0.0/1',
    '128.0.0.0/2',
    '8000::/1',
    '10.0.0.0/8,127.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16',
    '::1/128,fc00::/7,fe80::/10',
  ])('%s', (cidrs) => {
    expect(aboutOf({ POSTHORN_ALLOWED_CIDRS: cidrs })).toEqual(['POSTHORN_ALLOWED_CIDRS']);
  });
  test.each(['127.0.0.0/8,::1/128', '10.0.0.0/8', 'fc00::/7', '192.168.1.0/24'])('%s is somebody’s', (cidrs) => {
    expect(aboutOf({ POSTHORN_ALLOWED_CIDRS: cidrs })).toEqual([]);
  });
  test('proxies that anybody may be are warned of', () => {
    expect(aboutOf({ POSTHORN_TRUSTED_PROXIES: '0.0.0.0/0,::/0' })).toEqual(['POSTHORN_TRUSTED_PROXIES']);
  });
});

test.each(['0.0.0.0', '::', '0', '::0', '0:0:0:0:0:0:0:0', '0.0'])('listening on every interface: %s', (host) => {
  expect(aboutOf({ POSTHORN_HOST: host })).toEqual(['POSTHORN_HOST']);
  expect(aboutOf({ POSTHORN_ADMIN_HOST: host })).toEqual([]);
  expect(aboutOf({ POSTHORN_ADMIN_HOST: host, POSTHORN_ADMIN_PORT: '0' })).toEqual(['POSTHORN_ADMIN_HOST']);
});
test.each(['127.0.0.1', '::1', 'localhost', '192.0.2.7', '10.0.0.0'])('listening on one: %s', (host) => {
  expect(aboutOf({ POSTHORN_HOST: host })).toEqual([]);
});

test('running as root is warned of', () => {
  expect(aboutOf({}, 0)).toEqual(['root']);
  expect(aboutOf({}, USER)).toEqual([]);
});

test('each warning is a line of the log and is printed once', () => {
  const lines: string[] = [];
  const printed: string[] = [];
  const warnings = startWarnings(readConfig({}), { POSTHORN_TYPO_ONE: 'x', POSTHORN_TYPO_TWO: 'x' }, 0);
  sayWarnings(warnings, createLog('info', { write: (line) => void lines.push(line) }), (line) => printed.push(line));
  expect(printed).toHaveLength(3);
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    warnings.map(({ about, text }) => expect.objectContaining({ level: 40, event: 'start_warning', about, text })),
  );
});

test.each(['api', 'worker'] as const)('`posthorn %s` says them at its start', async (role) => {
  const database = await createTestDatabase();
  const overrides = { POSTHORN_TYPO: 'hidden', POSTHORN_HOST: '0.0.0.0' };
  const running = await startRole(role, testEnvironment(database.url, overrides));
  await running.stop();
  await database.drop();
  for (const about of ['POSTHORN_TYPO', 'POSTHORN_HOST']) {
    expect(running.lines.filter((line) => line.includes(`"start_warning","about":"${about}"`))).toHaveLength(1);
    expect(running.errors.filter((line) => line.startsWith(`posthorn: Warning: ${about} is`))).toHaveLength(1);
  }
  expect([...running.lines, ...running.errors].join('\n')).not.toContain('hidden');
});
