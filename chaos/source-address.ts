import net from 'node:net';

/**
 * Loaded into each worker (`node --require`): what it sends over loopback comes from an address of that process alone
 * (all of 127.0.0.0/8 is the machine itself on Linux), so that a receiver knows which process, and which life of it,
 * had a POST in hand.
 */
const address = process.env.CHAOS_SOURCE_ADDRESS;
const connect = net.Socket.prototype.connect as (...args: unknown[]) => net.Socket;

type Options = { host?: string; port?: number; localAddress?: string };

if (address) {
  net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
    // `net.connect` hands over what it has normalized: a list whose first member is the options.
    const options = (Array.isArray(args[0]) ? args[0][0] : args[0]) as Options | undefined;
    if (typeof options === 'object' && options.port !== undefined && options.host?.startsWith('127.')) {
      options.localAddress ??= address;
    }
    return connect.apply(this, args);
  } as typeof net.Socket.prototype.connect;
}
