/** Keeps this process from reaching anything but this machine: what a fuzzer registers may be someone's address. */
import dns from 'node:dns';
import net from 'node:net';

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Call it before anything that may connect is loaded. Returns a function that says how many connections were refused. */
export function allowLoopbackOnly() {
  let refused = 0;
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function guarded(...args) {
    const [first] = args;
    // node:net calls itself with its arguments as one list.
    const { path, host = 'localhost' } = Array.isArray(first) ? first[0] : toOptions(args);
    if (path !== undefined && path !== null) return connect.apply(this, args);
    if (LOOPBACK.test(host)) return connect.apply(this, args);
    refused++;
    process.nextTick(() => this.destroy(failure('ENETUNREACH', 'Only this machine may be reached')));
    return this;
  };
  const lookup = dns.lookup;
  dns.lookup = (hostname, ...rest) => {
    if (net.isIP(hostname) || hostname === 'localhost') lookup(hostname, ...rest);
    else process.nextTick(rest.at(-1), failure('ENOTFOUND', 'No names are looked up'));
  };
  return () => refused;
}

function toOptions([first, second]) {
  if (typeof first === 'object' && first !== null) return first;
  return typeof first === 'string' ? { path: first } : { host: typeof second === 'string' ? second : undefined };
}

const failure = (code, message) => Object.assign(new Error(message), { code });
