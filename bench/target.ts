import { Pool as Connections } from 'undici';

/**
 * What is under load: something that takes events over HTTP and sends them to webhooks. Scenarios know no more than
 * this, so that another sender can take Posthorn's place.
 */
export type Target = {
  /** Subscribes `url` to these types; the secret is what it signs with. Every other setting is the sender's default, or, of Posthorn, as given. */
  registerWebhook(
    url: string,
    types: readonly string[],
    settings?: WebhookSettings,
  ): Promise<{ id: string; secret?: string | undefined }>;
  /** Publishes one event; resolves when the sender has taken responsibility for it. @throws where it has not */
  publish(data: object, type?: string, repeat?: { idempotencyKey: string }): Promise<void>;
  /** Publishes many in one request. @throws where the sender has not taken responsibility for all of them */
  publishBatch(data: object[], type: string): Promise<void>;
  /** Events of a paused webhook are kept until it is resumed. */
  pause(webhook: string): Promise<void>;
  resume(webhook: string): Promise<void>;
  close(): Promise<void>;
};

/** What Posthorn's webhooks may be registered with beyond url and types. */
export type WebhookSettings = Record<string, unknown>;

export const EVENT_TYPE = 'bench.event';

/** Posthorn's API over `connections` kept connections. */
export function createPosthornTarget(url: string, apiKey: string, connections: number): Target {
  const api = new Connections(url, { connections, pipelining: 1 });
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };

  async function post(path: string, body: object, extra: Record<string, string> = {}): Promise<string> {
    const response = await api.request({
      method: 'POST',
      path: `/api/v1${path}`,
      headers: { ...headers, ...extra },
      body: JSON.stringify(body),
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`POST ${path} was answered ${response.statusCode}: ${text}`);
    return text;
  }
  return {
    async registerWebhook(webhookUrl, types, settings = {}) {
      const answer = await post('/webhooks', { url: webhookUrl, events: types, ...settings });
      return JSON.parse(answer) as { id: string; secret: string };
    },
    async publish(data, type = EVENT_TYPE, repeat) {
      await post('/events', { type, data }, repeat && { 'idempotency-key': repeat.idempotencyKey });
    },
    async publishBatch(data, type) {
      const answer = await post('/events/batch', { events: data.map((one) => ({ type, data: one })) });
      const results = (JSON.parse(answer) as { data: { status: number }[] }).data;
      const refused = results.find(({ status }) => status !== 202);
      if (refused) throw new Error(`an event of a batch was answered ${JSON.stringify(refused)}`);
    },
    async pause(webhook) {
      await post(`/webhooks/${webhook}/pause`, {});
    },
    async resume(webhook) {
      await post(`/webhooks/${webhook}/resume`, {});
    },
    close: () => api.close(),
  };
}
