import { OwnTroubleError } from '../../src/domain/own-trouble';
import { classifyError } from '../../src/egress/classify-error';
import { EgressError } from '../../src/egress/errors';

const at = { sent: false, secure: false, timeoutCode: 'connect_timeout' } as const;
const failed = (code: string, address = '192.0.2.1') => Object.assign(new Error('x'), { code, address });
const several = (...errors: Error[]) => Object.assign(new AggregateError(errors), { code: (errors[0] as any).code });

test.each<[string, Error]>([
  ['out of files', failed('EMFILE')],
  ['the machine is out of files', failed('ENFILE')],
  ['out of buffers', failed('ENOBUFS')],
  ['out of memory', failed('ENOMEM')],
  ['out of ports', failed('EADDRNOTAVAIL')],
  ['out of ports, in other words', failed('EAGAIN')],
  ['the network is down', failed('ENETDOWN')],
  ['one of several addresses was not tried', several(failed('ENETUNREACH', '2001:db8::1'), failed('EMFILE'))],
  ['ports, for one of several', several(failed('ECONNREFUSED', '2001:db8::1'), failed('EADDRNOTAVAIL'))],
])('ours, and nothing was sent: %s', (_, error) => {
  expect(classifyError(error, at)).toMatchObject({ name: 'OwnTroubleError', reason: 'system_limit', cause: error });
});

test.each(['UND_ERR_DESTROYED', 'UND_ERR_CLOSED'])('ours, since the process ends: %s', (code) => {
  expect(classifyError(failed(code), at)).toMatchObject({ name: 'OwnTroubleError', reason: 'stopping' });
  // Once it was sent, nobody may say that it was not.
  const cut = failed(code);
  expect(classifyError(cut, { ...at, sent: true })).toBe(cut);
});

test.each<[string, Error]>([
  ['connection_refused', failed('ECONNREFUSED')],
  ['host_unreachable', failed('ENETUNREACH')],
  ['host_unreachable', failed('EHOSTUNREACH')],
  // This machine has no IPv6 address: the endpoint has no other, and that does not pass.
  ['host_unreachable', failed('EADDRNOTAVAIL', '2001:db8::1')],
  ['connection_refused', several(failed('ECONNREFUSED'), failed('ENETUNREACH', '2001:db8::1'))],
  ['connect_timeout', failed('ETIMEDOUT')],
  ['dns_not_found', new EgressError('dns_not_found')],
])('the endpoint’s: %s', (code, error) => {
  expect(classifyError(error, at)).toBe(code);
});

test('what waited for us in vain stays that', () => {
  const error = new OwnTroubleError('lookup_queue');
  expect(classifyError(error, at)).toBe(error);
});
