import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Pool as Connections } from 'undici';
import type { Target } from './target';

/** One request to the sender under load. */
export type AdapterRequest = { method?: string; path: string; headers?: Record<string, string>; body: string };

/**
 * What an adapter file exports, so that another sender on loopback gets the same load and the same receiver. What it
 * needs to know (keys, ids) it takes from its own environment. See bench/adapters/.
 */
export type Adapter = {
  name: string;
  version?: string;
  /** Where it listens, such as http://127.0.0.1:8071. */
  baseUrl: string;
  /** Subscribes `url` to these event types. `secret`: what Standard Webhooks signatures are verified with; none, none are. */
  registerWebhook(url: string, types: readonly string[]): Promise<{ id: string; secret?: string }>;
  /** The request that publishes one event. */
  publish(data: object, type: string): AdapterRequest;
};

const PARTS = ['name', 'baseUrl', 'registerWebhook', 'publish'] as const;

/** @throws where the file does not export what an adapter has */
export async function loadAdapter(file: string): Promise<Adapter> {
  const url = pathToFileURL(path.resolve(file)).href;
  const adapter = (await import(url)) as Partial<Adapter>;
  const missing = PARTS.filter((part) => adapter[part] === undefined);
  if (missing.length > 0) throw new Error(`${file} does not export ${missing.join(', ')}`);
  return adapter as Adapter;
}

/** The sender behind an adapter, over `connections` kept connections. */
export function createForeignTarget(adapter: Adapter, connections: number, eventType: string): Target {
  const pool = new Connections(adapter.baseUrl, { connections, pipelining: 1 });
  const unable = (what: string) => async () => {
    throw new Error(`${adapter.name} is measured by an adapter, which cannot ${what}`);
  };
  return {
    async registerWebhook(url, types) {
      const { id, secret } = await adapter.registerWebhook(url, types);
      return { id, secret };
    },
    async publish(data, type = eventType) {
      const { method = 'POST', path: at, headers = {}, body } = adapter.publish(data, type);
      const response = await pool.request({
        method: method as 'POST',
        path: at,
        headers: { 'content-type': 'application/json', ...headers },
        body,
      });
      const text = await response.body.text();
      if (response.statusCode >= 300) throw new Error(`${adapter.name} answered ${response.statusCode}: ${text}`);
    },
    publishBatch: unable('publish batches'),
    pause: unable('pause'),
    resume: unable('resume'),
    close: () => pool.close(),
  };
}
