import { once } from 'node:events';
import {
  type ClientHttp2Stream,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A call to Temporal on its way through the proxy. */
export type Call = {
  /** Such as `SignalWorkflowExecution`. */
  name: string;
  /** The message as it is on the wire; ids and types stand in it as text. */
  body: string;
  /** The caller has its answer, or has given it up. */
  ended: boolean;
};

/** What becomes of a call: passed on, after a while; never answered; or answered with a status of gRPC. */
export type Fate = 'pass' | { delayMs: number } | 'hang' | { grpcStatus: number };

/** A gRPC proxy on loopback in front of Temporal, which chooses for each call how badly it goes. */
export type TemporalProxy = {
  address: string;
  /** Every call so far, the oldest first; long polls are among them. */
  calls: Call[];
  setFate(fateOf: (call: Call) => Fate): void;
  close(): Promise<void>;
};

/** @param target host and port of a Temporal without TLS */
export async function startTemporalProxy(target: string): Promise<TemporalProxy> {
  const calls: Call[] = [];
  const sessions = new Set<ServerHttp2Session>();
  let fateOf: (call: Call) => Fate = () => 'pass';
  const upstream = connect(`http://${target}`);
  upstream.on('error', () => undefined);
  const server = createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', async (stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => undefined);
    const chunks: Buffer[] = [];
    stream.on('data', (bytes: Buffer) => chunks.push(bytes));
    await once(stream, 'end').catch(() => undefined);
    const body = Buffer.concat(chunks);
    const call: Call = {
      name: String(headers[':path']).split('/').at(-1)!,
      body: body.toString('latin1'),
      ended: false,
    };
    calls.push(call);
    stream.on('close', () => {
      call.ended = true;
    });
    const fate = fateOf(call);
    if (fate === 'hang') return;
    if (typeof fate === 'object' && 'grpcStatus' in fate) {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': fate.grpcStatus },
        { endStream: true },
      );
      return;
    }
    if (typeof fate === 'object') await sleep(fate.delayMs);
    if (stream.destroyed) return;
    const { ':authority': _, ...rest } = headers;
    const onward: ClientHttp2Stream = upstream.request(rest);
    onward.on('error', () => stream.destroyed || stream.close());
    stream.on('close', () => onward.destroyed || onward.close());
    let trailers: IncomingHttpHeaders = {};
    onward.on('trailers', (some) => {
      trailers = some;
    });
    const answer: Buffer[] = [];
    onward.on('data', (bytes: Buffer) => answer.push(bytes));
    onward.on('response', (some) => {
      onward.on('end', () => {
        if (stream.destroyed) return;
        const { ':status': status, ...others } = some;
        stream.respond({ ':status': status, ...others }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers(trailers));
        stream.end(Buffer.concat(answer));
      });
    });
    onward.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    setFate(next) {
      fateOf = next;
    },
    async close() {
      server.close();
      for (const session of sessions) session.destroy();
      upstream.destroy();
      await once(server, 'close').catch(() => undefined);
    },
  };
}
