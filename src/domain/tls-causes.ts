/** What may be wrong with a TLS connection, by what it takes to mend it; a sentence each, for people. */
export const TLS_SENTENCES = {
  expired: 'The certificate of the host has expired',
  not_yet_valid: 'The certificate of the host is not valid yet',
  self_signed: 'The certificate of the host is signed by itself, and by no authority',
  missing_intermediate:
    'The host sent its own certificate only, and its issuer is no authority that is trusted here: most often an intermediate certificate is missing in what the host sends, else the authority is unknown',
  unknown_ca: 'The certificate of the host comes from an authority that is not trusted here',
  wrong_host: 'The certificate of the host is for other names',
  revoked: 'The certificate of the host was revoked',
  wrong_purpose: 'The certificate of the host is not made for servers',
  bad_chain: 'The certificates that the host sent do not fit together',
  weak_key: 'The host uses a key or a signature that is too weak',
  protocol_version: 'The host speaks no version of TLS from 1.2 on',
  no_common_cipher:
    'The host refused the handshake: most often it has no cipher in common with this client, or it wants a client certificate',
  not_tls: 'What answered does not speak TLS; is the port one of plain HTTP?',
  unrecognized_name: 'The host says that it serves no such name',
  client_certificate: 'The host wants a client certificate, and there is none',
  no_http1: 'The host does not speak HTTP/1.1',
  closed: 'The host closed the connection during the handshake',
} as const;

export type TlsCause = keyof typeof TLS_SENTENCES;
export const TLS_CAUSES = Object.keys(TLS_SENTENCES) as [TlsCause, ...TlsCause[]];
