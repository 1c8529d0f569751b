import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { buildConnector } from 'undici';
import { RefusedCertificateError } from './error-details';
import { isCertificateCode } from './tls-cause';

/** Where the certificate that is about to be refused is kept. */
export type RefusedCertificate = { certificate?: PeerCertificate };

/**
 * Keeps the certificates that the host sent if its connection is given up for them. Node destroys the socket the moment
 * that it has judged them, and says so when they cannot be read any more; and to read them for every connection that is
 * good would cost each of them.
 */
export function keepRefusedCertificate(socket: TLSSocket, refused: RefusedCertificate): void {
  const destroy = socket.destroy;
  socket.destroy = (error?: Error) => {
    if (error && isCertificateCode(codeOf(error))) {
      // Null once the handle is gone; an empty object if there is none.
      const certificate = socket.getPeerCertificate(true) as PeerCertificate | null;
      if (certificate?.subject) refused.certificate = certificate;
    }
    return destroy.call(socket, error);
  };
}

type Result = Parameters<buildConnector.Callback>;

/** The connector's answer; an error about a certificate with that certificate. */
export function withCertificate(result: Result, { certificate }: RefusedCertificate): Result {
  const [error] = result;
  return error && isCertificateCode(codeOf(error)) ? [new RefusedCertificateError(error, certificate), null] : result;
}

function codeOf({ code }: Error & { code?: unknown }): string {
  return typeof code === 'string' ? code : '';
}
