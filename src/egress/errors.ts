import type { DenyReason } from './special-addresses';

/** How far an attempt came before it failed. `blocked` means that nothing was sent, by our own rules. */
export type SendStage = 'dns' | 'connect' | 'tls' | 'timeout' | 'response' | 'blocked';

/**
 * Every way in which a POST can end without an HTTP status. The messages are shown to tenants: they never say what a
 * name resolved to. `./error-details.ts` adds what a library said.
 */
const SEND_ERRORS = {
  invalid_url: { stage: 'blocked', message: 'The URL is not one that can be delivered to' },
  insecure_scheme: { stage: 'blocked', message: 'The URL must use https' },
  invalid_request: { stage: 'blocked', message: 'The request could not be built from the webhook’s settings' },
  blocked_address: { stage: 'blocked', message: 'The host is not at an address that deliveries may reach' },
  dns_not_found: { stage: 'dns', message: 'The host name does not exist' },
  dns_timeout: { stage: 'dns', message: 'The host name could not be looked up in time' },
  dns_failed: { stage: 'dns', message: 'The host name could not be looked up' },
  connection_refused: { stage: 'connect', message: 'The host refused the connection' },
  connect_timeout: { stage: 'connect', message: 'No connection was established in time' },
  host_unreachable: { stage: 'connect', message: 'The host cannot be reached over the network' },
  proxy_refused: { stage: 'connect', message: 'The outbound proxy did not connect to the host' },
  connect_failed: { stage: 'connect', message: 'The connection could not be established' },
  tls_certificate_invalid: { stage: 'tls', message: 'The certificate of the host is not valid for it' },
  tls_timeout: { stage: 'tls', message: 'No secure connection was agreed on in time' },
  tls_failed: { stage: 'tls', message: 'No secure connection could be agreed on' },
  headers_timeout: { stage: 'timeout', message: 'The host did not answer in time' },
  connection_reset: { stage: 'response', message: 'The host closed the connection before it answered' },
  headers_too_large: { stage: 'response', message: 'The headers of the answer are too large' },
  invalid_response: { stage: 'response', message: 'The answer is not valid HTTP' },
} as const satisfies Record<string, { stage: SendStage; message: string }>;

export type SendErrorCode = keyof typeof SEND_ERRORS;

export interface SendError {
  stage: SendStage;
  code: SendErrorCode;
  message: string;
}

export function sendError(code: SendErrorCode): SendError {
  return { code, ...SEND_ERRORS[code] };
}

/** Thrown by the lookup and the connector, through undici, to the sender. Its message stays inside the process. */
export class EgressError extends Error {
  override readonly name = 'EgressError';
  /** Not called `code`: undici takes some codes for errors it may recover from. */
  readonly sendErrorCode: SendErrorCode;
  readonly denyReason: DenyReason | undefined;

  constructor(sendErrorCode: SendErrorCode, options: { denyReason?: DenyReason; cause?: unknown } = {}) {
    super(sendErrorCode, { cause: options.cause });
    this.sendErrorCode = sendErrorCode;
    this.denyReason = options.denyReason;
  }
}
