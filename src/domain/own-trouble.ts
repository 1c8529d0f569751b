/**
 * Why an attempt could not be begun: something of ours was short or away. A closed set, for the log.
 *
 * - `lookup_queue`: no turn to look the name up
 * - `name_servers_away`: the machine's name servers answer nothing, whatever the name
 * - `no_free_connection`: all connections to the host stayed busy
 * - `system_limit`: the process or the machine is out of files, ports or memory, or its network is down
 * - `stopping`: the process ends
 */
export type OwnTroubleReason =
  | 'lookup_queue'
  | 'name_servers_away'
  | 'no_free_connection'
  | 'system_limit'
  | 'stopping';

/**
 * Nothing was sent, for a reason of ours, and nothing is known about the endpoint: what was to be sent is no attempt, and
 * is tried again shortly. It is not written down and counts against nobody.
 */
export class OwnTroubleError extends Error {
  override readonly name = 'OwnTroubleError';

  constructor(
    readonly reason: OwnTroubleReason,
    options: { cause?: unknown } = {},
  ) {
    super(reason, options);
  }
}
