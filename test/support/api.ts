import type { Receiver } from './receiver';
import { until } from './until';

export type Answer<T = any> = { status: number; body: T; headers: Headers };

/** What tests look at of a delivery. */
export type DeliveryOut = {
  id: string;
  status: string;
  attempt_count: number;
  next_attempt_at: string | null;
  held_because?: string;
  attempts: { number: number; trigger: string; status_code: number | null; error: { code: string } | null }[];
};

/** The API under test as its users see it. */
export class TestApi {
  constructor(
    readonly url: string,
    readonly key: string,
  ) {}

  async call<T = any>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      body: (isJson ? JSON.parse(text) : text || undefined) as T,
      headers: response.headers,
    };
  }

  /** Calls that must succeed. */
  async ok<T = any>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.call<T>(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  createWebhook(
    receiver: Pick<Receiver, 'url'>,
    settings: Record<string, unknown> = {},
  ): Promise<{ id: string; secret: string }> {
    return this.ok('POST', '/webhooks', { url: `${receiver.url}/hook`, events: ['*'], ...settings });
  }

  publish(type = 'order.created', data: unknown = { n: 1 }): Promise<{ id: string; deliveries: number }> {
    return this.ok('POST', '/events', { type, data });
  }

  /** Publishes events numbered from 0, of a type that a single webhook takes; their deliveries. */
  async publishDeliveries(type: string, count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let n = 0; n < count; n++) ids.push(await this.onlyDelivery((await this.publish(type, { n })).id));
    return ids;
  }

  delivery(id: string): Promise<DeliveryOut> {
    return this.ok('GET', `/deliveries/${id}`);
  }

  async deliveriesOf(eventId: string): Promise<{ id: string; webhook_id: string; status: string }[]> {
    const list = await this.ok<{ data: { id: string; webhook_id: string; status: string }[] }>(
      'GET',
      `/events/${eventId}/deliveries`,
    );
    return list.data;
  }

  /** The one delivery of an event that matched a single webhook. */
  async onlyDelivery(eventId: string): Promise<string> {
    const [only, ...more] = await this.deliveriesOf(eventId);
    if (!only || more.length > 0) throw new Error(`expected one delivery of ${eventId}`);
    return only.id;
  }

  untilStatus(id: string, status: string, limitMs?: number): Promise<DeliveryOut> {
    return until(
      `${id} to be ${status}`,
      async () => {
        const delivery = await this.delivery(id);
        return delivery.status === status && delivery;
      },
      limitMs,
    );
  }
}
