import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * JSON lines, to standard output unless told otherwise. There is one canonical line per request and one per attempt,
 * each built from an allow-list of fields where it is written: bodies, secrets and header values have no way in.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  const options = { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  return destination ? pino(options, destination) : pino(options);
}

/** A destination that appends to a file, readable by its owner only. */
export function logFile(path: string): DestinationStream {
  return pino.destination({ dest: path, mkdir: true, mode: 0o600, sync: false });
}
