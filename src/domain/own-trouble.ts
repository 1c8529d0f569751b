/**
 * Why an attempt could not be begun: a resource of ours was exhausted or unavailable. A closed set, for the log.
 *
 * - `lookup_queue`: the lookup of the name waited too long for its permit
 * - `name_servers_unavailable`: the machine's name servers answer nothing, whatever the name
 * - `no_free_connection`: all connections to the host stayed busy
 * - `proxy_unavailable`: the outbound proxy cannot be reached, or refuses this installation's credentials
 * - `system_limit`: the process or the machine is out of files, ports or memory, or its network is down
 * - `stopping`: the process ends
 */
export type OwnTroubleReason =
  | 'lookup_queue'
  | 'name_servers_unavailable'
  | 'no_free_connection'
  | 'proxy_unavailable'
  | 'system_limit'
  | 'stopping';

/**
 * Nothing was sent, for a reason of ours, and nothing is known about the endpoint: this is no attempt, is not recorded and
 * counts against no webhook. It is tried again shortly.
 */
export class OwnTroubleError extends Error {
  override readonly name = 'OwnTroubleError';

  constructor(
    readonly reason: OwnTroubleReason,
    options: { cause?: unknown } = {},
  ) {
    super(reason, options);
  }

  /** What a library called it, such as `EMFILE`. */
  get libraryCode(): string | undefined {
    const { code } = (this.cause ?? {}) as { code?: unknown };
    return typeof code === 'string' ? code : undefined;
  }
}
