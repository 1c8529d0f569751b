import type { PeerCertificate } from 'node:tls';
import type { TlsCause } from '../domain/tls-causes';
import { EgressError, type SendError, type SendErrorCode, sendError } from './errors';
import { type CertificateFacts, certificateAtFault, isCertificateCode, tlsCauseOf, tlsSentence } from './tls-cause';

/** What is known of an attempt's error beyond its code, as it is recorded and shown. */
export type SendErrorDetails = {
  /** Of stage `tls`: what was wrong, from a closed set. */
  cause?: TlsCause;
  /** What the library called it: `ECONNREFUSED`, `CERT_HAS_EXPIRED`, `ESERVFAIL`, `UND_ERR_SOCKET`. */
  library_code?: string;
  /** The library's own words for it: a constant of OpenSSL, undici or ours, never what the host wrote. */
  reason?: string;
  /** The certificate at fault. */
  certificate?: CertificateFacts;
  /** Addresses that did not connect, each with what was said of it. */
  tried?: { address: string; library_code: string }[];
};

export type ExplainedError = SendError & { details?: SendErrorDetails };

/** A name may have more addresses; these are enough to see what is wrong. */
const MAX_TRIED = 8;
const MAX_CODE = 64;
const MAX_REASON = 256;

type LibraryError = Error & { code?: unknown; reason?: unknown; address?: unknown; errors?: unknown };

/**
 * A send error with all that is known of it. Of what our own rules forbade nothing is said.
 * @param error what undici, OpenSSL, c-ares or the system threw, ours with that as its cause; or the rule that an answer
 *   breaks, as a part of a sentence
 */
export function explainedError(code: SendErrorCode, error: string | Error | undefined): ExplainedError {
  const plain = sendError(code);
  if (plain.stage === 'blocked' || error === undefined) return plain;
  if (typeof error === 'string') return { ...plain, message: `${plain.message}: ${error}`, details: { reason: error } };
  const thrown = libraryErrorOf(error);
  if (thrown === undefined) return plain;
  const certificate = error instanceof RefusedCertificateError ? error.certificate : undefined;
  const details = detailsOf(code, thrown, certificate);
  const { cause } = details;
  return {
    ...plain,
    ...(cause && { message: tlsSentence(cause, details.certificate) }),
    ...(Object.keys(details).length > 0 && { details }),
  };
}

/** A certificate that Node did not take, read before its connection was closed. */
export class RefusedCertificateError extends EgressError {
  constructor(
    cause: Error,
    readonly certificate: PeerCertificate | undefined,
  ) {
    super('tls_certificate_invalid', { cause });
  }
}

function libraryErrorOf(error: Error): LibraryError | undefined {
  if (!(error instanceof EgressError)) return error;
  return typeof error.cause === 'object' && error.cause !== null ? (error.cause as LibraryError) : undefined;
}

function detailsOf(code: SendErrorCode, error: LibraryError, peer: PeerCertificate | undefined): SendErrorDetails {
  const libraryCode = textOf(error.code, MAX_CODE);
  const cause = tlsCauseOf(libraryCode) ?? (code === 'tls_failed' && CLOSED.test(libraryCode) ? 'closed' : undefined);
  const reason = reasonOf(error, libraryCode);
  const tried = code === 'connection_reset' ? [] : triedOf(error);
  return {
    ...(cause && { cause }),
    ...(libraryCode && { library_code: libraryCode }),
    ...(reason && { reason }),
    ...(peer && { certificate: certificateAtFault(peer, cause, Date.now()) }),
    ...(tried.length > 0 && { tried }),
  };
}

const CLOSED = /^(ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET)$/;
/** Their messages are constants. Those of the system and of Node hold addresses and names. */
const CONSTANT_MESSAGE = /^UND_ERR_SOCKET$/;

function reasonOf(error: LibraryError, libraryCode: string): string {
  if (libraryCode.startsWith('ERR_SSL_') || libraryCode === 'EPROTO') return textOf(error.reason, MAX_REASON);
  const isConstant =
    CONSTANT_MESSAGE.test(libraryCode) || (isCertificateCode(libraryCode) && !libraryCode.startsWith('ERR_'));
  return isConstant ? textOf(error.message, MAX_REASON) : '';
}

/** If several addresses were tried, each has an error of its own. */
function triedOf(error: LibraryError): { address: string; library_code: string }[] {
  const errors = Array.isArray(error.errors) ? (error.errors as LibraryError[]) : [error];
  return errors
    .filter(({ address }) => typeof address === 'string')
    .slice(0, MAX_TRIED)
    .map(({ address, code }) => ({ address: String(address), library_code: textOf(code, MAX_CODE) }));
}

function textOf(value: unknown, maxLength: number): string {
  return typeof value === 'string' ? value.slice(0, maxLength) : '';
}
