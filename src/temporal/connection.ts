import { readFile } from 'node:fs/promises';
import type { TLSConfig } from '@temporalio/client';
import type { NativeConnectionOptions } from '@temporalio/worker';
import type { Config } from '../config';

/**
 * How to reach the cluster; the same for the api's and the worker's kind of connection. A certificate or an API key
 * turns TLS on: the key stands in each request's metadata, readable on a connection without TLS.
 */
export async function connectionOptions(config: Config) {
  const { TEMPORAL_TLS_CERT_FILE: certFile, TEMPORAL_TLS_KEY_FILE: keyFile } = config;
  const tls: TLSConfig | boolean =
    certFile && keyFile
      ? { clientCertPair: { crt: await readFile(certFile), key: await readFile(keyFile) } }
      : (config.TEMPORAL_TLS ?? config.TEMPORAL_API_KEY !== undefined);
  return {
    address: config.TEMPORAL_ADDRESS ?? 'localhost:7233',
    tls,
    ...(config.TEMPORAL_API_KEY && { apiKey: config.TEMPORAL_API_KEY }),
  };
}

/** The same for the worker. What it sends is small: gzip, the SDK's default there, costs more than it saves. */
export async function nativeConnectionOptions(config: Config): Promise<NativeConnectionOptions> {
  return { ...(await connectionOptions(config)), grpcCompression: { codec: 'none' } };
}
