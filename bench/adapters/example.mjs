/**
 * Measures another sender with Posthorn's load and receiver:
 *
 *     SENDER_URL=http://127.0.0.1:8071 SENDER_KEY=… npm run bench -- latency --adapter bench/adapters/example.mjs
 *
 * This one speaks Posthorn's own API, to a Posthorn that is running already. Copy it and change the two requests.
 */
const key = process.env.SENDER_KEY ?? '';

export const name = process.env.SENDER_NAME ?? 'sender';
export const version = process.env.SENDER_VERSION;
export const baseUrl = process.env.SENDER_URL ?? 'http://127.0.0.1:8420';

const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };

export async function registerWebhook(url, types) {
  const response = await fetch(`${baseUrl}/api/v1/webhooks`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ url, events: types }),
  });
  if (!response.ok) throw new Error(`registering answered ${response.status}: ${await response.text()}`);
  const { id, secret } = await response.json();
  return { id, secret };
}

export function publish(data, type) {
  return { path: '/api/v1/events', headers, body: JSON.stringify({ type, data }) };
}
