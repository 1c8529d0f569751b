import { Pool as Connections } from 'undici';

/**
 * What is under load: something that takes events over HTTP and sends them to a webhook. Scenarios know no more than
 * this, so that another sender can take Posthorn's place.
 */
export type Target = {
  /** Subscribes `url` to the benchmark's events; the secret that it signs with. */
  registerWebhook(url: string): Promise<string>;
  /** Publishes one event; resolves when the sender has taken responsibility for it. @throws where it has not */
  publish(data: object): Promise<void>;
  close(): Promise<void>;
};

export const EVENT_TYPE = 'bench.event';

/** Posthorn's API over `connections` kept connections. */
export function createPosthornTarget(url: string, apiKey: string, connections: number): Target {
  const api = new Connections(url, { connections, pipelining: 1 });
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };

  async function post(path: string, body: object): Promise<string> {
    const response = await api.request({ method: 'POST', path, headers, body: JSON.stringify(body) });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`POST ${path} was answered ${response.statusCode}: ${text}`);
    return text;
  }
  return {
    async registerWebhook(webhookUrl) {
      const answer = await post('/api/v1/webhooks', { url: webhookUrl, events: [EVENT_TYPE] });
      return (JSON.parse(answer) as { secret: string }).secret;
    },
    async publish(data) {
      await post('/api/v1/events', { type: EVENT_TYPE, data });
    },
    close: () => api.close(),
  };
}
