import { isIPv4 } from 'node:net';
import { OwnTroubleError, type OwnTroubleReason } from '../domain/own-trouble';
import { EgressError, type SendErrorCode } from './errors';
import type { ConnectTimeoutCode } from './peer-client';
import { isCertificateCode } from './tls-cause';

/** Ran out in this process or on this machine, or the sender was closed: nothing the receiver did. */
const OUR_OWN: Readonly<Record<string, OwnTroubleReason>> = {
  UND_ERR_DESTROYED: 'stopping',
  UND_ERR_CLOSED: 'stopping',
  EMFILE: 'system_limit',
  ENFILE: 'system_limit',
  ENOBUFS: 'system_limit',
  ENOMEM: 'system_limit',
  // No local port is left (connect(2)).
  EAGAIN: 'system_limit',
  // The interface is down (connect(2)); no route to this network alone is ENETUNREACH.
  ENETDOWN: 'system_limit',
};

const BY_CODE: Readonly<Record<string, SendErrorCode>> = {
  ECONNREFUSED: 'connection_refused',
  ENETUNREACH: 'host_unreachable',
  EHOSTUNREACH: 'host_unreachable',
  EHOSTDOWN: 'host_unreachable',
  EADDRNOTAVAIL: 'host_unreachable',
  UND_ERR_INVALID_ARG: 'invalid_request',
  UND_ERR_NOT_SUPPORTED: 'invalid_request',
};

const TLS = /^(ERR_SSL_|ERR_TLS_|EPROTO$)/;
const TIMED_OUT = /^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/;
const CLOSED = /^(ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET)$/;

/** Whether a connection was closed or reset by the other side. */
export function isClosed(error: Error): boolean {
  return CLOSED.test(codeOf(error));
}

/**
 * What an error of undici or of the socket says about the receiver; an error to be thrown if it says nothing about it:
 * an OwnTroubleError if nothing was sent, so that the attempt may be made again.
 * @param at.sent whether the request was already written to a connection
 * @param at.secure whether the URL is https
 * @param at.timeoutCode its code if the connection was not established in time
 */
export function classifyError(
  error: Error,
  at: { sent: boolean; secure: boolean; timeoutCode: ConnectTimeoutCode },
): SendErrorCode | Error {
  if (error instanceof OwnTroubleError) return error;
  if (error instanceof EgressError) return error.sendErrorCode;
  const code = codeOf(error);
  const ours = ownTrouble(error);
  if (ours) return at.sent ? error : new OwnTroubleError(ours, { cause: error });
  if (at.sent) return codeAfterSending(code);
  if (TIMED_OUT.test(code)) return at.timeoutCode;
  const known = BY_CODE[code];
  if (known !== undefined) return known;
  if (isCertificateCode(code)) return 'tls_certificate_invalid';
  // A TCP handshake is refused or times out; what closes a connection after it and before the request is TLS.
  if (TLS.test(code) || (at.secure && CLOSED.test(code))) return 'tls_failed';
  return 'connect_failed';
}

/** What Node says of a socket's error. */
type SocketError = Error & { code?: unknown; address?: unknown; errors?: unknown };

function codeOf({ code }: SocketError): string {
  return typeof code === 'string' ? code : '';
}

/** If several addresses were tried, one that failed for a reason of ours might have worked. */
function ownTrouble(error: SocketError): OwnTroubleReason | undefined {
  const tried = Array.isArray(error.errors) ? (error.errors as SocketError[]) : [error];
  for (const one of tried) {
    const code = codeOf(one);
    // Over IPv4: all local ports are taken. Over IPv6 it may be that this machine has no address at all.
    if (code === 'EADDRNOTAVAIL' && isIPv4(String(one.address))) return 'system_limit';
    if (OUR_OWN[code]) return OUR_OWN[code];
  }
  return undefined;
}

function codeAfterSending(code: string): SendErrorCode {
  // A network that is lost now and a socket that was closed are the same thing to the tenant.
  if (CLOSED.test(code) || code === 'ETIMEDOUT') return 'connection_reset';
  if (TLS.test(code)) return 'tls_failed';
  return BY_CODE[code] ?? 'invalid_response';
}
