import path from 'node:path';

/** Histories of real runs, kept so that every change of the workflow is replayed against them. */
export const HISTORIES = path.join(__dirname, '..', 'histories');

/** Stands in all that must never reach Temporal: URL, body, secret, and what the endpoint answered. */
export const PLANTED = 'planted';
export const PLANTED_SECRET = `whsec_${Buffer.from(`${PLANTED}-secret-of-32-bytes-length`).toString('base64')}`;

/** What a value in a payload may be. */
const ALLOWED = [
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, // uuid
  /^(ten|wh|key)_[0-9a-z]{26}$/, // TypeID
  /^[a-z]+(_[a-z]+)*$/, // a code, such as in_flight or connection_refused
  /^\d+$/,
  /^(attemptFirst|reschedule|findStanding)$/, // activities, in the markers of local ones
  /^ask-for-rescheduled-time$/, // patches
  /^test-[0-9a-f]{12}(-retries|-replays)?$/, // task queue
  /^kept\.[a-z-]+$/, // event type
  /^kept\.[a-z-]+ → 127\.0\.0\.1:\d+$/, // summary of a workflow: event type and host
  /^attempt \d+$/, // summaries of timers
  /^answer to attempt \d+$/,
  /^page \d+$/,
];

/** Everything in a history (as JSON) that is neither id nor number nor name, or holds what was planted. */
export function leaks(history: unknown): string[] {
  const readable = decoded(history);
  const leaked = readable.values.filter((value) => !ALLOWED.some((form) => form.test(value)));
  for (const secret of [PLANTED, PLANTED_SECRET, PLANTED_SECRET.slice('whsec_'.length)]) {
    if (readable.text.includes(secret)) leaked.push(secret);
  }
  return leaked;
}

/** A history, or anything else with payloads in it, as text that can be searched. */
export const readable = (withPayloads: unknown): string => decoded(withPayloads).text;

/** The strings in a history's payloads, and all of it as text with the payloads decoded. */
function decoded(history: unknown): { values: string[]; text: string } {
  const values: string[] = [];
  const text = JSON.stringify(history, (key, value: unknown) => {
    if (key !== 'data' || typeof value !== 'string') return value;
    const json = Buffer.from(value, 'base64').toString('utf8');
    if (json !== '') {
      JSON.parse(json, (_, leaf) => {
        if (typeof leaf === 'string') values.push(leaf);
        return leaf;
      });
    }
    return json;
  });
  return { values, text };
}
