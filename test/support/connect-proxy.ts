import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** What a proxy answers instead of connecting. */
export type ProxyAnswer = number | 'hang' | 'reset';

export type ConnectProxy = {
  port: number;
  /** The authority of each CONNECT, and the credentials that came with it. */
  asked: { authority: string; authorization: string | undefined }[];
  /** Bytes that came through, both ways. */
  bytes: () => number;
  close(): Promise<void>;
};

/** An HTTP proxy on loopback that only knows CONNECT. */
export async function startConnectProxy(
  decide: (request: IncomingMessage) => ProxyAnswer | undefined = () => undefined,
): Promise<ConnectProxy> {
  const asked: ConnectProxy['asked'] = [];
  const sockets = new Set<Socket>();
  let bytes = 0;
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, client: Socket) => {
    const authority = request.url ?? '';
    asked.push({ authority, authorization: request.headers['proxy-authorization'] });
    const answer = decide(request);
    if (answer === 'hang') return;
    if (answer === 'reset') {
      client.resetAndDestroy();
      return;
    }
    if (answer !== undefined) {
      client.end(`HTTP/1.1 ${answer} No\r\ncontent-length: 3\r\n\r\nno\n`);
      return;
    }
    const { hostname, port } = new URL(`http://${authority}`);
    const upstream = connect(Number(port || 80), hostname.replace(/^\[|\]$/g, ''), () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
    sockets.add(upstream);
    upstream.on('data', (chunk) => {
      bytes += chunk.length;
    });
    upstream.on('error', () => client.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n'));
    upstream.on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    bytes: () => bytes,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
