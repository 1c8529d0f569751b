import { DatabaseError } from 'pg';
import { toApiError } from '../../src/api/errors';
import { OutcomeUnknownError } from '../../src/db/statement-errors';

const refused = (code: string) => Object.assign(new DatabaseError('no', 2, 'error'), { code });
const failed = (code: string) => Object.assign(new Error(code), { code });

test.each([
  ['an answer to COMMIT that was lost', new OutcomeUnknownError(new Error('Query read timeout'))],
  ['a statement that was given up on', new Error('Query read timeout')],
  ['a connection that was lost under it', new Error('Connection terminated unexpectedly')],
  ['a connection that was lost before it', new Error('Client has encountered a connection error and is not queryable')],
  ['a connection that did not come', new Error('Connection terminated due to connection timeout')],
  ['no free connection', new Error('timeout exceeded when trying to connect')],
  ['an answer that belongs to nothing', new Error('Received unexpected commandComplete message from backend.')],
  ['a session that was ended for its open transaction', refused('25P03')],
  ['a server that is shutting down', refused('57P01')],
  ['a server that is starting', refused('57P03')],
  ['a server without room', refused('53300')],
  ['no way to the server', failed('EHOSTUNREACH')],
  ['a server that is not there', failed('ECONNREFUSED')],
])('%s: 503, and when to come again', (_, error) => {
  expect(toApiError(error)).toMatchObject({ code: 'database_unavailable', status: 503 });
});

test.each([
  ['a statement of ours that is wrong', refused('42703')],
  ['a value that breaks a rule of the table', refused('23514')],
  ['a mistake in the code', new TypeError('x is not a function')],
])('%s is a fault of ours: 500', (_, error) => {
  expect(toApiError(error)).toMatchObject({ code: 'internal_error', status: 500 });
});
