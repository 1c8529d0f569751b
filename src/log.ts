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
