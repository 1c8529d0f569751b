import { type Config, ConfigError } from '../config';

const AWAY = /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated/;
const POSTGRES_AWAY = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'ECONNRESET', 'EHOSTUNREACH']);

/** Turns "connection refused" into which server was meant, where, and what to do. Passwords are left out. */
export function explainUnreachable(config: Config) {
  return (error: unknown): never => {
    const { code, message = '', name } = (error ?? {}) as { code?: string; message?: string; name?: string };
    if (name === 'TransportError' || /tonic|transport|grpc/i.test(message)) {
      throw new ConfigError(
        `Temporal cannot be reached at ${config.TEMPORAL_ADDRESS ?? 'localhost:7233'}. Start it, or set TEMPORAL_ADDRESS.`,
      );
    }
    if ((code && POSTGRES_AWAY.has(code)) || AWAY.test(message)) {
      const url = config.DATABASE_URL ? new URL(config.DATABASE_URL) : undefined;
      throw new ConfigError(
        `Postgres cannot be reached at ${url?.host}${url?.pathname}. Start it, or set DATABASE_URL.`,
      );
    }
    throw error;
  };
}
