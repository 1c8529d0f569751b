import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIPv6, type Socket } from 'node:net';
import { OwnTroubleError } from '../domain/own-trouble';
import { EgressError } from './errors';
import type { EgressProxy } from './proxy';

export type Tunnel = {
  /** A connection to this address and port, through the proxy. */
  to: { address: string; port: number };
  /** Certificate authorities (PEM) for a proxy that is spoken to over TLS, instead of Node's own. */
  certificateAuthorities: string[] | undefined;
  /** Called once the proxy itself is connected to: from here on what goes wrong is about the address. */
  onProxy: () => void;
};

/** Ends a tunnel that is being opened. */
export type Cancel = () => void;

/**
 * Asks the proxy for a connection (CONNECT, RFC 9110 9.3.6). `done` is called once: with the connection, with an
 * OwnTroubleError if the proxy cannot be reached or does not know us, or with the EgressError `proxy_refused` if it does not
 * connect to that address. What the proxy writes is not repeated.
 */
export function openTunnel(
  proxy: EgressProxy,
  { to, certificateAuthorities, onProxy }: Tunnel,
  done: (result: Socket | Error) => void,
): Cancel {
  const authority = `${isIPv6(to.address) ? `[${to.address}]` : to.address}:${to.port}`;
  let connected = false;
  let asking: ClientRequest;
  const options = {
    method: 'CONNECT',
    host: proxy.hostname,
    port: proxy.port,
    path: authority,
    headers: { host: authority, ...(proxy.authorization && { 'proxy-authorization': proxy.authorization }) },
    // A connection of its own, which becomes the tunnel.
    agent: false as const,
  };
  const fail = (error: Error) => {
    done(connected ? new EgressError('proxy_refused', { cause: error }) : unavailable(error));
  };
  try {
    asking = proxy.secure ? httpsRequest({ ...options, ca: certificateAuthorities }) : httpRequest(options);
  } catch (error) {
    queueMicrotask(() => fail(error as Error));
    return () => {};
  }
  asking.once('socket', (socket) => {
    socket.once(proxy.secure ? 'secureConnect' : 'connect', () => {
      connected = true;
      onProxy();
    });
  });
  asking.once('error', fail);
  // Emitted for every final status (Node's http).
  asking.once('connect', ({ statusCode = 0 }: IncomingMessage, socket: Socket, head: Buffer) => {
    if (statusCode >= 200 && statusCode <= 299) {
      if (head.length > 0) socket.unshift(head);
      done(atAddress(socket, to.address));
      return;
    }
    socket.on('error', () => {});
    socket.destroy();
    const answered = Object.assign(new Error('not connected'), { code: `PROXY_${statusCode}` });
    // Who we are is a setting of this installation, and says nothing about the endpoint.
    if (statusCode === 407) done(unavailable(answered));
    else fail(answered);
  });
  asking.end();
  return () => asking.destroy();
}

function unavailable(cause: Error): OwnTroubleError {
  return new OwnTroubleError('proxy_unavailable', { cause });
}

/** Its other end is the endpoint; the system knows the proxy's. */
export function atAddress<S extends Socket>(socket: S, address: string): S {
  return Object.defineProperty(socket, 'remoteAddress', { value: address });
}
