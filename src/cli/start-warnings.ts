import { BlockList, isIP } from 'node:net';
import { type Config, SETTING_NAMES } from '../config';
import { createAddressPolicy } from '../egress/address-policy';
import type { Log } from '../log';

/** Something that is allowed and probably not meant. */
export type StartWarning = { about: string; text: string };

/** Names that begin like settings, and are read elsewhere: by `posthorn demo`, and by the tests. */
const OTHER_NAMES = /^POSTHORN_(URL|API_KEY|TEST_.*)$/;
/** What Kubernetes sets in each container for a service whose name begins with posthorn. */
const OF_KUBERNETES = /^POSTHORN_(.*_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$/;
/** A typing error changes no more letters than this. */
const MAX_TYPOS = 3;
/** The largest blocks that anybody owns are /8, and of IPv6 fc00::/7. */
const SHORTEST_PREFIX = { 4: 8, 6: 7 } as const;
/** Where deliveries must not come by accident: this machine, its neighbours, and the cloud's metadata service. */
const INNER = [
  ['127.0.0.1', '10.0.0.1', '172.16.0.1', '192.168.0.1', '169.254.169.254'],
  ['::1', 'fd00::1', 'fe80::1'],
];

/**
 * What a start should say of its settings: unknown names, lists that are open to the world, running as root, listening
 * on every interface. Nothing of this is refused; a value is never repeated.
 */
export function startWarnings(
  config: Config,
  env: NodeJS.ProcessEnv,
  uid: number | undefined = process.getuid?.(),
): StartWarning[] {
  const warnings: StartWarning[] = [];
  const warn = (about: string, text: string) => warnings.push({ about, text });
  for (const name of unknownNames(env)) {
    const meant = nearest(name);
    warn(name, `${name} is no setting and has no effect${meant ? `; is ${meant} meant?` : ''}`);
  }
  if (opensTheWorld(config.POSTHORN_ALLOWED_CIDRS)) {
    warn(
      'POSTHORN_ALLOWED_CIDRS',
      'POSTHORN_ALLOWED_CIDRS is open to the world: whoever may register a webhook reaches this machine, its network and its metadata service',
    );
  }
  if (opensTheWorld(config.POSTHORN_TRUSTED_PROXIES)) {
    warn(
      'POSTHORN_TRUSTED_PROXIES',
      'POSTHORN_TRUSTED_PROXIES is open to the world: every client may say that it is another one',
    );
  }
  for (const name of ['POSTHORN_HOST', 'POSTHORN_ADMIN_HOST'] as const) {
    const serves = name === 'POSTHORN_HOST' || config.POSTHORN_ADMIN_PORT !== undefined;
    if (serves && isEveryInterface(config[name])) {
      warn(name, `${name} is ${config[name]}: it listens on every interface of this machine, without TLS`);
    }
  }
  if (uid === 0) warn('root', 'Posthorn runs as root, which it does not need: a user of its own is safer');
  return warnings;
}

/** Each warning once, in the log and by `print`. */
export function sayWarnings(warnings: readonly StartWarning[], log: Log, print: (line: string) => void): void {
  for (const { about, text } of warnings) {
    log.warn({ event: 'start_warning', about, text });
    print(`Warning: ${text}`);
  }
}

function unknownNames(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('POSTHORN_') && env[name] !== '' && env[name] !== undefined)
    .filter((name) => !SETTING_NAMES.includes(name) && !OTHER_NAMES.test(name) && !OF_KUBERNETES.test(name))
    .sort();
}

/** The setting that was probably meant. */
function nearest(name: string): string | undefined {
  const [best] = SETTING_NAMES.map((setting) => ({ setting, typos: distance(name, setting) })).sort(
    (a, b) => a.typos - b.typos,
  );
  return best && best.typos <= MAX_TYPOS ? best.setting : undefined;
}

/** Levenshtein's: letters to add, drop or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(changed, row[j]! + 1, next[j - 1]! + 1);
    }
    row = next;
  }
  return row[b.length]!;
}

/** A block that is larger than any that somebody owns, or several that together open every inner network. */
function opensTheWorld(cidrs: readonly string[]): boolean {
  const tooLarge = cidrs.some((cidr) => {
    const [network = '', prefix] = cidr.split('/');
    const family = isIP(network);
    return (family === 4 || family === 6) && Number(prefix) < SHORTEST_PREFIX[family];
  });
  if (tooLarge) return true;
  const policy = createAddressPolicy({ allowedCidrs: cidrs });
  return INNER.some((addresses) => addresses.every((address) => policy.check(address) === undefined));
}

const unspecified = new BlockList();
unspecified.addAddress('0.0.0.0', 'ipv4');
unspecified.addAddress('::', 'ipv6');

/** The unspecified address in any spelling; a bare 0 is one to the system's resolver. */
export function isEveryInterface(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return /^0+(\.0+){0,2}$|^0x0+$/i.test(host);
  return unspecified.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
