import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * JSON lines, to standard output unless told otherwise. There is one canonical line per request and one per attempt,
 * each built from an allow-list of fields where it is written: bodies, secrets and header values have no way in.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  const options = { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, destination ?? standardOutput());
}

/**
 * Lines that come while one is written go out together: at thousands of attempts a second, a system call for each would
 * cost as much as anything else in them. What is left is written when the process exits; kill -9 may take the last lines.
 */
const standardOutput = (): DestinationStream => pino.destination({ fd: 1, sync: false });

/** A destination that appends to a file, readable by its owner only. */
export function logFile(path: string): DestinationStream {
  return pino.destination({ dest: path, mkdir: true, mode: 0o600, sync: false });
}

/** The statuses of gRPC by their numbers (grpc/grpc doc/statuscodes.md). */
const GRPC_STATUS = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];
/** Nested errors that are logged; more only repeat the same. */
const MAX_CAUSES = 4;
/** Characters of a reason: a whole page of a proxy's HTML is of no use in a line. */
const MAX_REASON = 500;

/**
 * Why something failed, in one line: the message, and what the errors inside it say, with the status and the details of
 * gRPC or the code of the system. The SDK's own message is often no more than "Failed to start Workflow".
 * Passwords in URLs are left out; fields that may hold a row's values (Postgres' `detail`) are not looked at.
 */
export function reasonOf(error: unknown): string {
  const parts: string[] = [];
  const add = (part: string | undefined) => {
    if (part && !parts.some((said) => said.includes(part))) parts.push(part);
  };
  let next = error;
  for (let depth = 0; depth < MAX_CAUSES && next !== undefined && next !== null; depth++) {
    if (typeof next !== 'object') {
      add(String(next));
      break;
    }
    const { message, name, code, details, cause, errors } = next as Record<string, unknown>;
    const status = typeof code === 'number' ? (GRPC_STATUS[code] ?? String(code)) : code;
    add(text(message) ?? text(name));
    add(text(status));
    if (typeof code === 'number') add(text(details));
    // Of a failed connection to several addresses, the first one speaks for all.
    next = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  const reason = parts.join(': ').replace(/:\/\/[^\s/@]*@/g, '://') || 'unknown';
  return reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value.replace(/\s+/g, ' ').trim() : undefined;
