/**
 * The one name that receivers of the CGI kind (RFC 3875 4.1.18: CGI, PHP, WSGI, Rack) make of all spellings of a header:
 * they know capitals only, and an underscore for each character that is no letter or digit.
 */
export const foldHeaderName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '-');
