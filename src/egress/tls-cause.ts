import type { PeerCertificate } from 'node:tls';
import { TLS_SENTENCES, type TlsCause } from '../domain/tls-causes';

/** OpenSSL's X509_V_ERR_ names as Node gives them, and Node's own for a certificate of another host. */
const BY_VERIFICATION: Readonly<Record<string, TlsCause>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not_yet_valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self_signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'missing_intermediate',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown_ca',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown_ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown_ca',
  CERT_UNTRUSTED: 'unknown_ca',
  CERT_REJECTED: 'unknown_ca',
  ERR_TLS_CERT_ALTNAME_INVALID: 'wrong_host',
  HOSTNAME_MISMATCH: 'wrong_host',
  CERT_REVOKED: 'revoked',
  INVALID_PURPOSE: 'wrong_purpose',
  INVALID_CA: 'bad_chain',
  PATH_LENGTH_EXCEEDED: 'bad_chain',
  CERT_CHAIN_TOO_LONG: 'bad_chain',
  CERT_SIGNATURE_FAILURE: 'bad_chain',
};

/** OpenSSL's reasons, its names for the alerts of RFC 8446 6 among them, as Node gives them behind `ERR_SSL_`. */
const BY_HANDSHAKE: Readonly<Record<string, TlsCause>> = {
  TLSV1_ALERT_PROTOCOL_VERSION: 'protocol_version',
  UNSUPPORTED_PROTOCOL: 'protocol_version',
  WRONG_SSL_VERSION: 'protocol_version',
  VERSION_TOO_LOW: 'protocol_version',
  SSLV3_ALERT_HANDSHAKE_FAILURE: 'no_common_cipher',
  SSL_TLS_ALERT_HANDSHAKE_FAILURE: 'no_common_cipher',
  TLSV1_ALERT_INSUFFICIENT_SECURITY: 'no_common_cipher',
  NO_SHARED_CIPHER: 'no_common_cipher',
  WRONG_CIPHER_RETURNED: 'no_common_cipher',
  UNKNOWN_CIPHER_RETURNED: 'no_common_cipher',
  DH_KEY_TOO_SMALL: 'weak_key',
  EE_KEY_TOO_SMALL: 'weak_key',
  CA_KEY_TOO_SMALL: 'weak_key',
  CA_MD_TOO_WEAK: 'weak_key',
  WRONG_SIGNATURE_TYPE: 'weak_key',
  WRONG_VERSION_NUMBER: 'not_tls',
  PACKET_LENGTH_TOO_LONG: 'not_tls',
  HTTP_REQUEST: 'not_tls',
  UNEXPECTED_MESSAGE: 'not_tls',
  TLSV1_UNRECOGNIZED_NAME: 'unrecognized_name',
  TLSV13_ALERT_CERTIFICATE_REQUIRED: 'client_certificate',
  SSLV3_ALERT_BAD_CERTIFICATE: 'client_certificate',
  SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'client_certificate',
  TLSV1_ALERT_UNKNOWN_CA: 'client_certificate',
  TLSV1_ALERT_ACCESS_DENIED: 'client_certificate',
  TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'no_http1',
};

/**
 * What OpenSSL calls a certificate that it does not take. `UNSPECIFIED` is Node's word for all that it has none for, such as
 * a key that is too short.
 */
const CERTIFICATE =
  /^(CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERROR_IN_|INVALID_|PATH_LENGTH_|ERR_TLS_CERT_|HOSTNAME_MISMATCH$|UNSPECIFIED$)/;

/** Whether this is the code of a certificate that was not taken. */
export function isCertificateCode(libraryCode: string): boolean {
  return CERTIFICATE.test(libraryCode);
}

export function tlsCauseOf(libraryCode: string): TlsCause | undefined {
  const known = BY_VERIFICATION[libraryCode];
  if (known || !libraryCode.startsWith('ERR_SSL_')) return known;
  return BY_HANDSHAKE[libraryCode.slice('ERR_SSL_'.length)];
}

/** A certificate, as far as people need it. Its texts are the host's: cut, and free of control characters. */
export type CertificateFacts = {
  /** Distinguished names, such as `CN=example.com, O=Example`. */
  subject: string;
  issuer: string;
  /** What it is for: `DNS:example.com`, `IP Address:192.0.2.1`; the first of them. */
  names: string[];
  /** RFC 3339. */
  valid_from: string | null;
  valid_to: string | null;
  /** Of an unknown authority: the issuer of the last certificate that the host sent. */
  authority?: string;
};

const MAX_TEXT = 256;
const MAX_NAMES = 10;
/** Certificates of a chain that are looked at. */
const MAX_CHAIN = 10;

/** The certificate at fault among those that the host sent: the one that is out of date may be an issuer's. */
export function certificateAtFault(
  leaf: PeerCertificate,
  cause: TlsCause | undefined,
  nowMs: number,
): CertificateFacts {
  const chain = chainOf(leaf);
  const outOfDate = chain.find(({ valid_from, valid_to }) =>
    cause === 'expired' ? Date.parse(valid_to) < nowMs : cause === 'not_yet_valid' && Date.parse(valid_from) > nowMs,
  );
  return {
    ...factsOf(outOfDate ?? leaf),
    ...(cause === 'unknown_ca' && { authority: nameOf(chain.at(-1)!.issuer) }),
  };
}

/** Node's list ends in a certificate that is its own issuer, or in one whose issuer was not sent. */
function chainOf(leaf: PeerCertificate): PeerCertificate[] {
  const chain = [leaf];
  let at = (leaf as { issuerCertificate?: PeerCertificate }).issuerCertificate;
  while (at && at !== chain.at(-1) && chain.length < MAX_CHAIN) {
    chain.push(at);
    at = (at as { issuerCertificate?: PeerCertificate }).issuerCertificate;
  }
  return chain;
}

function factsOf({ subject, issuer, subjectaltname, valid_from, valid_to }: PeerCertificate): CertificateFacts {
  return {
    subject: nameOf(subject),
    issuer: nameOf(issuer),
    names: (subjectaltname ?? '').split(', ', MAX_NAMES).filter(Boolean).map(shown),
    valid_from: timeOf(valid_from),
    valid_to: timeOf(valid_to),
  };
}

/** A text of a host as it may be shown: cut, and without control characters. */
export function shown(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_TEXT);
}

function nameOf(name: object | undefined): string {
  const parts = Object.entries(name ?? {}).flatMap(([type, value]: [string, string | string[]]) =>
    [value].flat().map((one) => `${type}=${one}`),
  );
  return shown(parts.join(', '));
}

function timeOf(text: string): string | null {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}

/** What was wrong, as a sentence, with the certificate if there is one. */
export function tlsSentence(cause: TlsCause, certificate: CertificateFacts | undefined): string {
  return certificate ? `${TLS_SENTENCES[cause]} ${describe(cause, certificate)}` : TLS_SENTENCES[cause];
}

function describe(cause: TlsCause, certificate: CertificateFacts): string {
  const { subject, issuer, names, valid_from, valid_to, authority } = certificate;
  const facts = [
    `subject ${subject || 'unnamed'}`,
    `issuer ${issuer || 'unnamed'}`,
    ...(authority && authority !== issuer ? [`authority ${authority}`] : []),
    ...(cause === 'expired' ? [`valid until ${valid_to}`] : []),
    ...(cause === 'not_yet_valid' ? [`valid from ${valid_from}`] : []),
    ...(cause === 'wrong_host' ? [`names ${names.join(', ') || 'none'}`] : []),
  ];
  return `(${facts.join('; ')})`;
}
