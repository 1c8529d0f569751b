import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(__dirname, '..');

/** Words that were given up for one of docs/glossary.md: the retired one, what to say, and why. */
const RETIRED: [word: RegExp, say: string][] = [
  [/\blanes?\b/i, '"priority", "mode" or "path": a lane was two unrelated things'],
  [/first_?attempt(?!s\b)\b/i, '"mode" of a webhook, "path" of a delivery: the old name of the setting'],
  [/\bunwell\b/i, '"failing", of an endpoint'],
  [
    /\bthe record has\b/i,
    '"Postgres" or "the attempt record": the record was the database, a row and the act of writing',
  ],
  [
    /\bisShut\b|\bshut gates?\b|\bgates? (is|was|are) (shut|open)\b/i,
    'a gate "holds" or "passes"; only a breaker is open or closed',
  ],
  [/\breadSign\b|\bEndpointSign\b/, '"healthSignalOf", "HealthSignal": a sign reads as a signature'],
  [/\bAttemptFacts?\b/, '"AttemptContext" (what is loaded), "AttemptSummary" (what the workflow keeps)'],
  [/\bAttemptPlace\b/, '"SchedulePosition"'],
  [/\bwriteUntilTaken\b/, '"recordWithRetry"'],
  [/\bNoTurn\b|\bcreateTurns\b|fair-turns/, '"NotAdmitted", of a fair semaphore'],
  [
    /\bNoRoom\b|\b(Retry|Replay|Tenant)Room\b|\b(take|has)Room\b|\b(retry|replay)-room\b/,
    '"capacity", "slot": there are no rooms',
  ],
  [/\b(Tenant|next|take)Turns?\b|\bper_turn\b|operational-turns/i, '"batch" of a tenant, "place" in a fair queue'],
  [/\bforget(Expired|Old|SetAside)\b|\btrimLogs\b/, '"purge"'],
  [/\bhurry\b/i, '"async_commit"'],
  [/\bonRaised\b/, '"onOutboxRow"'],
  [/\b(is|was|are|were|goes|went) away\b/i, '"is unavailable"'],
  [/\bhears?\b/i, '"called with", "called after", of a callback'],
  [/\bby hand\b/i, '"manually", "by an operator"'],
  [/\bin hand\b/i, '"holds", "held"'],
  [/\bwrit(es?|ten) (it |them )?down\b/i, '"records", "stores"'],
  [/\bWebhookLine\b/, '"DeliveryBuffer"'],
  [/\btells? of nothing\b|\bnot all are told\b/i, '"emits no event", "truncated"'],
  [/\blets? go of\b/i, '"releases"'],
  [/\bwish(es)?\b/i, '"request" or "command", of an operator'],
  [/\bthe engine\b/i, '"Temporal"'],
  [/\b(gives?|gave|given) (it )?back\b|\bgiveBack\b|\bletGo\b/i, '"releases", "returns"'],
  [/\bhas the word\b/i, '"is the source of truth"'],
  [/\bmessageClasses\b/, '"withSharedPrototypes"'],
  [/\bnothingHere\b/, '"notFoundHandler"'],
  [/\bcontrol-delivery\b/, '"delivery-commands": operators give commands'],
  [/\bengine_(unavailable|per_s)\b|\b(create|ask)Engine\b/, '"Temporal"; in the code of an error, "workflow_engine"'],
  [/\b(AUDIT_LOG|REPLAYS)_KEPT_FOR\b/, '"RETENTION"'],
  [/\bcreateStrangerLimit\b|\blimitStranger\b/, '"anonymous"'],
];

function files(folder: string, pattern: RegExp, deep = false): string[] {
  const entries = readdirSync(path.join(ROOT, folder), { withFileTypes: true, recursive: deep });
  return entries
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
}

/** Decisions keep the names under which they were made. */
const DECISION_FILE = /decisions\/\d{4}-[\w-]+\.md/g;

/** All lines of the code and the pages; decisions are left as they were written. */
const LINES = [...files('src', /\.ts$/, true), ...files('docs', /\.(md|json)$/)].flatMap((file) =>
  readFileSync(path.join(ROOT, file), 'utf8')
    .split('\n')
    .map((text, index) => ({ where: `${file}:${index + 1}`, text: text.replace(DECISION_FILE, '') })),
);

test.each(RETIRED)('the code and the pages do not say %s, but %s', (word) => {
  expect(LINES.length).toBeGreaterThan(10_000);
  expect(LINES.filter(({ text }) => word.test(text)).map(({ where, text }) => `${where} ${text.trim()}`)).toEqual([]);
});
