import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createAddressPolicy } from '../../src/egress/address-policy';
import { createEgressAgent, type EgressAgentSettings } from '../../src/egress/agent';
import { createSender, type Sender } from '../../src/egress/send';
import type { NameServers, SendRequest, SendResult } from '../../src/egress/types';

const fixture = (name: string) => readFileSync(join(__dirname, '../support/fixtures', name), 'utf8');
/** For the name localhost only, signed by itself, valid for 100 years. */
export const certificate = { key: fixture('self-signed-key.pem'), cert: fixture('self-signed-cert.pem') };
/** Of the same key for the same name, valid on the first day of 2020. */
export const expiredCertificate = { ...certificate, cert: fixture('expired-cert.pem') };

const opened: { close(): Promise<unknown> }[] = [];

/** Closes what this file's helpers opened; for `afterEach`. */
export async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map((one) => one.close()));
}

/** Where a name is, instead of asking name servers. */
export type Resolve = NameServers['resolve'];

export function answering(resolve: Resolve): NameServers {
  return { resolve, answeredSince: () => true };
}

type SenderSettings = Partial<EgressAgentSettings> & {
  allowHttp?: boolean;
  onResend?: (() => void) | undefined;
  resolve?: Resolve | undefined;
};

export function loopbackSender(settings: SenderSettings = {}): Sender {
  const { allowHttp = true, onResend, resolve, ...agentSettings } = settings;
  const agent = createEgressAgent({
    policy: createAddressPolicy({ allowedCidrs: ['127.0.0.0/8', '::1/128'] }),
    connectTimeoutMs: 5_000,
    dnsTimeoutMs: 2_000,
    maxConnectionsPerOrigin: 8,
    ...(resolve && { nameServers: answering(resolve) }),
    ...agentSettings,
  });
  const sender = createSender({ agent, allowHttp, onResend });
  opened.push(sender);
  return sender;
}

export function post(url: string, more: Partial<SendRequest> = {}): SendRequest {
  return {
    url,
    tenantId: 'a tenant',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{"a":1}'),
    timeoutMs: 10_000,
    ...more,
  };
}

export function errorOf(result: SendResult): { stage: string; code: string } {
  if (result.kind !== 'error') throw new Error(`an error was expected, not status ${result.statusCode}`);
  return { stage: result.stage, code: result.code };
}

export function responseOf(result: SendResult): Extract<SendResult, { kind: 'response' }> {
  if (result.kind !== 'response') throw new Error(`a response was expected, not ${result.code}`);
  return result;
}

/** A TCP server on loopback that calls `serve` once a connection has sent a whole request (or at once, if `eager`). */
export async function rawServer(
  serve: (socket: Socket) => void,
  mode: 'request' | 'eager' = 'request',
): Promise<{ url: string; port: number; connections: () => number }> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    if (mode === 'eager') serve(socket);
    else socket.on('data', (data) => data.includes('{"a":1}') && serve(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push({
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        for (const socket of sockets) socket.destroy();
      }),
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, port, connections: () => connections };
}

/** A resolver that gives these addresses for any name. */
export function to(...addresses: string[]): Resolve {
  const answer = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return async () => answer;
}

/** A resolver that does not answer before the test is over. */
export function hanging(): Resolve {
  const answer = new Promise<[]>((resolve) => closeLater({ close: async () => resolve([]) }));
  return () => answer;
}

/** A port on loopback that takes no connection and refuses none: its queue is full, and nobody accepts. */
export async function deafPort(): Promise<number> {
  // In a thread of its own, which stands still once it listens. The system then answers for it until the queue is full.
  const listener = `
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:worker_threads').parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const worker = new Worker(listener, { eval: true });
  const port = await new Promise<number>((resolve) => worker.once('message', resolve));
  const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  opened.push({
    close: () => {
      for (const socket of fillers) socket.destroy();
      return worker.terminate();
    },
  });
  await Promise.any(fillers.map((socket) => once(socket, 'connect')));
  return port;
}

/** For servers of other kinds and receivers. */
export function closeLater<T extends { close(): Promise<unknown> }>(one: T): T {
  opened.push(one);
  return one;
}

/** Sends `text` over and over, `size` characters each 20 ms, until the connection closes. */
export function drip(socket: Socket, text: string, size = text.length): void {
  let at = 0;
  const timer = setInterval(() => {
    socket.write(text.slice(at, at + size));
    at = (at + size) % text.length;
  }, 20);
  socket.on('close', () => clearInterval(timer));
}
