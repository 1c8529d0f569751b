import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { OwnTroubleError } from '../domain/own-trouble';
import { EgressError } from './errors';
import type { Connector } from './peer-client';
import type { EgressProxy } from './proxy';
import { atAddress, type Cancel, openTunnel } from './proxy-tunnel';

export type ProxiedSettings = {
  proxy: EgressProxy;
  /** For the tunnel and TLS together. */
  timeoutMs: number;
  certificateAuthorities: string[] | undefined;
  /** Makes TLS over a connection that there is. */
  secure: (options: buildConnector.Options, callback: buildConnector.Callback) => Socket;
};

/** Connects to the first of these addresses that the proxy connects to: they were judged, and no other is asked for. */
export type ProxiedConnect = (addresses: readonly string[], ...rest: Parameters<Connector>) => void;

export function createProxiedConnect(settings: ProxiedSettings): ProxiedConnect {
  const { proxy, timeoutMs, certificateAuthorities, secure } = settings;
  return (addresses, options, callback, peer) => {
    let ended = false;
    let cancel: Cancel = () => {};
    const isSecure = options.protocol === 'https:';
    const port = Number(options.port || (isSecure ? 443 : 80));
    const end: buildConnector.Callback = (...result) => {
      if (ended) {
        result[1]?.destroy();
        return;
      }
      ended = true;
      clearTimeout(timer);
      endOfWait();
      callback(...result);
    };
    // Until the proxy itself is connected to, the wait is for a resource of ours.
    peer.timeoutCode = 'connect_timeout';
    peer.waitsFor = 'proxy_unavailable';
    peer.waitsSinceMs = performance.now();
    const endOfWait = () => {
      if (peer.waitsSinceMs !== null) peer.waitedMs += performance.now() - peer.waitsSinceMs;
      peer.waitsSinceMs = null;
      peer.waitsFor = 'lookup_queue';
    };
    const timer = setTimeout(() => {
      const error = peer.waitsSinceMs === null ? new EgressError(peer.timeoutCode) : proxyTimeout();
      end(error, null);
      cancel();
    }, timeoutMs);
    peer.giveUpConnecting = () => {
      end(new Error('given up'), null);
      cancel();
    };
    tryNext(0);

    function tryNext(at: number): void {
      const address = addresses[at]!;
      const tunnel = { to: { address, port }, certificateAuthorities, onProxy: endOfWait };
      cancel = openTunnel(proxy, tunnel, (result) => {
        if (ended) {
          if (isSocket(result)) result.destroy();
          return;
        }
        if (isSocket(result)) onTunnel(result, address);
        else if (result instanceof EgressError && at + 1 < addresses.length) tryNext(at + 1);
        else end(result, null);
      });
    }

    function onTunnel(socket: Socket, address: string): void {
      peer.remoteAddress = address;
      socket.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      if (!isSecure) {
        end(null, socket);
        return;
      }
      peer.timeoutCode = 'tls_timeout';
      cancel = () => socket.destroy();
      try {
        const over = secure({ ...options, httpSocket: socket }, (...[error, result]) => {
          if (error) socket.destroy();
          if (result) end(null, atAddress(result as Socket, address) as typeof result);
          else end(error!, null);
        });
        cancel = () => over.destroy();
      } catch (error) {
        end(error as Error, null);
        socket.destroy();
      }
    }
  };
}

/** As undici has it for connections of its own. */
const TCP_KEEP_ALIVE_MS = 60_000;

function isSocket(result: Socket | Error): result is Socket {
  return 'setNoDelay' in result;
}

function proxyTimeout(): Error {
  return new OwnTroubleError('proxy_unavailable', {
    cause: Object.assign(new Error('not connected in time'), { code: 'ETIMEDOUT' }),
  });
}
