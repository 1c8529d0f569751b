import { startLoopbackDns } from '../test/support/dns-server';
import { serve } from './remote';

/** A name server for which every name is at loopback, but for those below `dead.test`: it never answers for them. */
const methods = {
  /** Listens on loopback; for `POSTHORN_DNS_SERVERS`. */
  listen: async () => (await startLoopbackDns(/\.dead\.test$/)).address,
};

export type NameServerMethods = typeof methods;
serve(methods);
