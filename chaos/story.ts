import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Call } from './client';
import type { Evidence, Violation } from './evidence';

/** Faults this long before and after what happened to a delivery belong to its story. */
const AROUND_MS = 15_000;
/** Of the log, for one delivery. */
const MAX_LOG_LINES = 40;

type Line = { at: number; text: string };

/**
 * Everything that is known of what a violation is about, in the order of time: what was asked and answered, requests,
 * attempts, what was done to the site, what the roles wrote. Milliseconds from `beganAt`.
 */
export async function tellStory(evidence: Evidence, violation: Violation, beganAt: number): Promise<string> {
  const { ledger, arrivals, record, faults, lives } = evidence;
  const { deliveryId } = violation;
  const delivery = record.deliveries.find(({ id }) => id === deliveryId);
  const eventId = violation.eventId ?? delivery?.eventId;
  const hook = ledger.hooks.find(({ id }) => id === delivery?.webhookId);
  const posts = arrivals.filter((post) => (deliveryId ? post.deliveryId === deliveryId : post.eventId === eventId));
  const lifeName = (source: string) => {
    const life = lives.find(({ address }) => address === source);
    return life ? `${life.role} (${life.n})` : source;
  };
  const story: Line[] = [];
  const tell = (at: number, text: string) => story.push({ at, text });
  const tellCall = (what: string, { at, answeredAt, api, status, error }: Call) =>
    tell(at, `${what}, by api-${(api % 2) + 1}: ${status ?? error} after ${answeredAt - at} ms`);

  for (const { marks, flavour, calls, accepted } of ledger.publishes) {
    if (![...accepted.values()].some(({ id }) => id === eventId)) continue;
    for (const call of calls) tellCall(`publish ${marks.join(' ')} (${flavour})`, call);
  }
  for (const { action, target, call } of ledger.deeds) {
    if ([deliveryId, eventId, hook?.id].includes(target)) tellCall(`${action} ${target}`, call);
  }
  for (const post of posts) {
    tell(
      post.at,
      `request ${post.n}: attempt ${post.attempt} at ${post.hook} by ${lifeName(post.source)}, aimed at ${post.aimed}`,
    );
    if (post.answered) tell(post.answered.at, `request ${post.n} was answered ${post.answered.status}`);
    if (post.closedAt) tell(post.closedAt, `request ${post.n} was closed without an answer`);
  }
  for (const attempt of record.attempts.filter((one) => one.deliveryId === deliveryId)) {
    const { number, startedAt, durationMs, statusCode, errorCode, outcome } = attempt;
    tell(startedAt, `recorded: attempt ${number}, ${statusCode ?? errorCode} after ${durationMs} ms, ${outcome}`);
  }
  if (delivery?.endedAt) tell(delivery.endedAt, `recorded: ${delivery.state} with ${delivery.attemptCount} attempts`);
  if (delivery?.queued) tell(Date.now(), `in the queue: ${delivery.queued}`);
  if (story.length === 0 && violation.at !== undefined) tell(violation.at, 'here');
  const times = story.map(({ at }) => at);
  const [from, to] = [Math.min(...times) - AROUND_MS, Math.max(...times) + AROUND_MS];
  for (const { kind, target, from: begun, until = Date.now() } of faults) {
    if (begun > to || until < from) continue;
    tell(begun, `FAULT ${kind} ${target}`);
    tell(until, `fault over: ${kind} ${target}`);
  }
  for (const { role, n, startedAt, ended } of lives) {
    if (startedAt >= from && startedAt <= to) tell(startedAt, `${role} (${n}) was started`);
    if (ended && ended.at >= from && ended.at <= to) tell(ended.at, `${role} (${n}) has ended: ${ended.how}`);
  }
  const wanted = deliveryId ?? eventId;
  if (wanted) story.push(...(await logLines(lives, wanted)));
  const lines = story
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `    ${String(at - beganAt).padStart(8)}  ${text}`);
  return [`${violation.check}: ${violation.what}`, ...lines].join('\n');
}

/** Lines of the roles' logs that name an id. */
async function logLines(lives: Evidence['lives'], id: string): Promise<Line[]> {
  const found: Line[] = [];
  for (const { role, n, logFile } of lives) {
    if (!existsSync(logFile)) continue;
    for await (const text of createInterface({ input: createReadStream(logFile) })) {
      if (!text.includes(id) || found.length >= MAX_LOG_LINES) continue;
      found.push({ at: timeOf(text), text: `${role} (${n}) wrote ${text}` });
    }
  }
  return found;
}

function timeOf(line: string): number {
  try {
    return Date.parse((JSON.parse(line) as { time: string }).time) || 0;
  } catch {
    return 0;
  }
}
