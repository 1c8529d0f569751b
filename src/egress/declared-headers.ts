import { type DeclaredSignature, declaredNames, schemeProblem } from '../domain/declared-signature';
import { foldHeaderName } from '../domain/header-name';

import { customHeaderProblem, TOKEN } from './custom-headers';

/** Names that own headers may not have and a declared signature may: Posthorn computes what is in them. */
const MAY_BE_DECLARED = /^(x-webhook-.*|x-hub-signature(-256)?|stripe-signature|signature)$/;
/** What the delivery log shows of every delivery: no place for a signature. */
const SHOWN = /^x-webhook-(id|timestamp|event|attempt|delivery|retryable)$/;
const MAX_NAME_LENGTH = 128;

/** Why a declared signature cannot be sent: the path of the member and the rule; undefined if it can. */
export function declaredProblem(declared: DeclaredSignature): { path: string[]; rule: string } | undefined {
  const { header, timestamp, names } = declared;
  const seen = new Set<string>();
  const named: [string[], string | null][] = [
    [['header'], header],
    [['timestamp', 'header'], timestamp.header],
    ...Object.entries(names).map(([fact, name]): [string[], string | null] => [['names', fact], name]),
  ];
  for (const [path, name] of named) {
    if (name === null) continue;
    const rule =
      nameProblem(name) ?? (seen.has(foldHeaderName(name)) ? `the header "${name}" is named twice` : undefined);
    if (rule) return { path, rule };
    seen.add(foldHeaderName(name));
  }
  if (SHOWN.test(foldHeaderName(header)))
    return { path: ['header'], rule: 'must be another one: its value is shown in the log' };
  return schemeProblem(declared);
}

function nameProblem(name: string): string | undefined {
  if (!TOKEN.test(name)) return 'the header name is not a valid HTTP token';
  if (name.length > MAX_NAME_LENGTH) return `the header name is longer than ${MAX_NAME_LENGTH} characters`;
  return MAY_BE_DECLARED.test(foldHeaderName(name)) ? undefined : customHeaderProblem(name, '');
}

/** An own header that the declared signature sets as well; undefined if there is none. */
export function declaredConflict(own: readonly string[], declared: DeclaredSignature): string | undefined {
  const taken = declaredNames(declared).map(foldHeaderName);
  return own.find((name) => taken.includes(foldHeaderName(name)));
}
