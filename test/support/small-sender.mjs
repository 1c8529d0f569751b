/**
 * A webhook sender of a few lines, in a process of its own, for what has to be tried with a sender that is not
 * Posthorn. It takes the two requests of bench/adapters/example.mjs, answers 202, and POSTs what it took, signed as
 * Standard Webhooks has it. It prints its URL once it listens. How it goes wrong is SENDER_FAULT:
 *
 * - `loses`: every 15th event that it has accepted is never sent
 * - `repeats`: every 15th is sent twice
 * - `unsigned`: it knows no secrets
 * - `mis-signs`: it signs with another secret than it told
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

const { SENDER_KEY, SENDER_FAULT } = process.env;
const EVERY = 15;
const SENDING_AT_ONCE = 16;

const agent = new Agent({ keepAlive: true, maxSockets: SENDING_AT_ONCE });
const newSecret = () => `whsec_${randomBytes(24).toString('base64')}`;
const webhooks = [];
let accepted = 0;

function register({ url, events }) {
  const secret = SENDER_FAULT === 'unsigned' ? undefined : newSecret();
  const signer = secret && new Webhook(SENDER_FAULT === 'mis-signs' ? newSecret() : secret);
  const id = randomUUID();
  webhooks.push({ url, events, signer });
  return { id, secret };
}

function publish({ type, data }) {
  const body = JSON.stringify({ type, data });
  const wrong = ++accepted % EVERY === 0;
  const times = wrong && SENDER_FAULT === 'loses' ? 0 : wrong && SENDER_FAULT === 'repeats' ? 2 : 1;
  for (const webhook of webhooks.filter(({ events }) => events.includes(type))) {
    for (let n = 0; n < times; n++) send(webhook, body);
  }
  return { accepted };
}

function send({ url, signer }, body) {
  const id = `msg_${randomUUID()}`;
  const now = new Date();
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    ...(signer && { 'webhook-signature': signer.sign(id, now, body) }),
  };
  request(url, { method: 'POST', agent, headers }, (response) => response.resume())
    .on('error', (error) => console.error(`not delivered: ${error.message}`))
    .end(body);
}

const ROUTES = { 'POST /api/v1/webhooks': [201, register], 'POST /api/v1/events': [202, publish] };

const server = createServer(async (incoming, response) => {
  const given = await json(incoming);
  const [status, handle] = ROUTES[`${incoming.method} ${incoming.url}`] ?? [404, () => ({})];
  const known = incoming.headers.authorization === `Bearer ${SENDER_KEY}`;
  const answer = known ? handle(given) : { code: 'unauthorized' };
  response.writeHead(known ? status : 401, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
