import type { z } from 'zod';
import type { Tx } from '../../db/database';
import { sizeOfFilters } from '../../db/publish/publish-rules';
import { writeAudit } from '../../db/store/audit-log';
import { renewGate } from '../../db/store/gates';
import { type Part, upTo } from '../../db/store/scan';
import { beginForNewUrl, findMode } from '../../db/store/verifications';
import type { Webhook } from '../../db/store/webhook-row';
import type { WebhookSettings } from '../../db/store/webhook-settings';
import {
  deleteWebhook,
  findWebhook,
  hasPlaceForWebhook,
  insertWebhook,
  listWebhooks,
  lockWebhook,
  updateWebhook,
} from '../../db/store/webhooks';
import { type Filter, filterBytes } from '../../domain/filter';
import { foldHeaderName } from '../../domain/header-name';
import { newUuid, toPublicId } from '../../domain/ids';
import { styleConflict } from '../../domain/signature-styles';
import { declaredConflict } from '../../egress/declared-headers';
import { audited } from '../audited';
import { ApiError, notFound } from '../errors';
import { secretFrom } from '../given-secret';
import { parsePrecondition, requireVersion } from '../http/precondition';
import { readPage } from '../page';
import { changedMembers } from '../read-back';
import type { Context, HandlerResult } from '../route';
import { placeholderProblem, REDACTED_VALUE } from '../schemas/webhook-policies';
import {
  type createWebhookBody,
  type listWebhooksQuery,
  type patchWebhookBody,
  SHOWN_OF_WEBHOOK,
} from '../schemas/webhooks';
import type { Services } from '../services';
import { toWebhookOut, webhookResult } from '../webhook-out';
import { startRound } from './verification';

type None = undefined;

/** Rows per statement: metadata, patterns and a filter of one webhook may have some 200 KiB. */
const AT_ONCE = 20;

export async function create(context: Context<z.output<typeof createWebhookBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, actor, body } = context;
  const { secret, ...warned } = secretFrom(services, body.secret);
  await requireTarget(context, body.url);
  const id = newUuid();
  // Every field of a new webhook has its default, so that nothing is missing here.
  const settings = toSettings(context, id, body) as WebhookSettings;
  requireNoConflict(settings);
  const sealed = services.secretBox.seal(secret, { tenantId, webhookId: id });
  const insert = async (tx: Tx) => {
    await requireWebhookQuota(services, tx, tenantId);
    if (body.filter) await requireFilterQuota(tx, tenantId, id, body.filter);
    const mode = await findMode(tx, tenantId, services.minVerification);
    await insertWebhook(tx, tenantId, id, settings, sealed);
    const begun = await beginForNewUrl(tx, tenantId, id, mode);
    await writeAudit(tx, { tenantId, actor, action: 'webhook.create', target: toPublicId('webhook', id) });
    return begun;
  };
  const round = await services.changes.run(tenantId, () => services.db.kysely.transaction().execute(insert));
  if (body.filter) services.publishRules.invalidate(tenantId);
  if (round !== undefined) await startRound(services, tenantId, id, round);
  const webhook = await findWebhook(services.db.kysely, tenantId, id);
  // Another request has deleted it already.
  if (!webhook) throw notFound('webhook');
  return webhookResult(201, webhook, { secret, ...warned });
}

export async function list({
  services,
  tenantId,
  query,
  inSlices,
}: Context<None, z.output<typeof listWebhooksQuery>>): Promise<HandlerResult> {
  const read = async ({ limit, beforeId }: Part) =>
    upTo(limit, await listWebhooks(services.db.kysely, tenantId, limit + 1, beforeId));
  return {
    status: 200,
    body: await readPage('webhook', query, { read, toOut: toWebhookOut, atOnce: AT_ONCE }, inSlices),
  };
}

export async function get({ services, tenantId, ids }: Context<None, None>): Promise<HandlerResult> {
  const webhook = await findWebhook(services.db.kysely, tenantId, ids.webhook!);
  if (!webhook) throw notFound('webhook');
  return webhookResult(200, webhook);
}

export async function patch(context: Context<z.output<typeof patchWebhookBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, ids, body } = context;
  if (body.url) await requireTarget(context, body.url);
  const id = ids.webhook!;
  const { version: _, ...sent } = JSON.parse(context.bodyText) as Record<string, unknown>;
  const expected = parsePrecondition(context.ifMatch, body.version);
  let found = false;
  let fields: string[] = [];
  const update = async (tx: Tx) => {
    if (body.filter) await requireFilterQuota(tx, tenantId, id, body.filter);
    const mode = body.url === undefined ? undefined : await findMode(tx, tenantId, services.minVerification);
    const before = await lockWebhook(tx, tenantId, id);
    if (!before) return undefined;
    found = true;
    // Thrown inside the transaction, so that nothing is changed.
    requireVersion(expected, before.version);
    const current = (await findWebhook(tx, tenantId, id))!;
    const changed = changedMembers(sent, toWebhookOut(current), SHOWN_OF_WEBHOOK);
    fields = [...changed];
    if (changed.size === 0) return undefined;
    const settings = Object.fromEntries(Object.entries(body).filter(([name]) => changed.has(name))) as typeof body;
    if (settings.headers) settings.headers = withStoredValues(context, current, settings.headers);
    const change = toSettings(context, id, settings);
    if (change.headerNames || change.signatureStyles || change.signature)
      requireNoConflict({ ...before, ...given(change) });
    const moved = mode !== undefined && change.url !== undefined && change.url !== before.url;
    if (moved) await renewGate(tx, id);
    await updateWebhook(tx, tenantId, id, change);
    return { round: moved ? await beginForNewUrl(tx, tenantId, id, mode) : undefined };
  };
  const changed = await services.changes.run(tenantId, () =>
    audited(context, 'webhook.update', toPublicId('webhook', id), update, () => ({ fields })),
  );
  if (!found) throw notFound('webhook');
  if (changed?.round !== undefined) await startRound(services, tenantId, id, changed.round);
  const webhook = await findWebhook(services.db.kysely, tenantId, id);
  if (!webhook) throw notFound('webhook');
  // Also if the patterns changed: the rules contain those of every webhook with a filter.
  if (body.filter !== undefined || body.events) services.publishRules.invalidate(tenantId);
  // If the gate passes now, its backlog goes on at once.
  services.notifyWork();
  return webhookResult(200, webhook);
}

/**
 * Headers in which each placeholder is replaced by the value that the webhook has under that name.
 * @throws ApiError validation_failed if it has none
 */
function withStoredValues(
  { services, tenantId }: Owner,
  { id, sealedHeaders }: Webhook,
  headers: Record<string, string>,
): Record<string, string> {
  if (!Object.values(headers).includes(REDACTED_VALUE)) return headers;
  const opened = sealedHeaders === null ? '{}' : services.secretBox.open(sealedHeaders, { tenantId, webhookId: id });
  const stored = new Map(
    Object.entries(JSON.parse(opened) as Record<string, string>).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const values = Object.entries(headers).map(([name, value]): [string, string] => {
    if (value !== REDACTED_VALUE) return [name, value];
    const known = stored.get(name.toLowerCase());
    if (known !== undefined) return [name, known];
    throw new ApiError('validation_failed', 'The body breaks a rule.', [
      { field: 'headers', rule: placeholderProblem(name) },
    ]);
  });
  return Object.fromEntries(values);
}

export async function remove(context: Context<None, None>): Promise<HandlerResult> {
  const id = context.ids.webhook!;
  const expected = parsePrecondition(context.ifMatch);
  const removed = await audited(context, 'webhook.delete', toPublicId('webhook', id), async (tx) => {
    const before = await lockWebhook(tx, context.tenantId, id);
    if (before) requireVersion(expected, before.version);
    return deleteWebhook(tx, context.tenantId, id);
  });
  if (!removed) throw notFound('webhook');
  return { status: 204 };
}

/** @throws ApiError validation_failed if deliveries may never go to this URL */
async function requireTarget({ services, tenantId }: Owner, url: URL): Promise<void> {
  const { allowHttp, checkTarget } = services;
  const refuse = (rule: string) => new ApiError('validation_failed', 'The URL is refused.', [{ field: 'url', rule }]);
  if (url.protocol !== 'https:' && !allowHttp) throw refuse('must begin with https://');
  const problem = await checkTarget(url, tenantId);
  if (problem) throw refuse(`${problem}: the host is not at an address that deliveries may reach`);
}

type Signing = Pick<WebhookSettings, 'headerNames' | 'signatureStyles' | 'signature'>;

/** @throws ApiError validation_failed if an own header has the name of one that the webhook's signatures set */
function requireNoConflict({ headerNames, signatureStyles, signature }: Signing) {
  const refuse = (name: string, by: string) => {
    const rule = `the header "${foldHeaderName(name)}" is set by ${by}`;
    return new ApiError('validation_failed', 'A header is set twice.', [{ field: 'headers', rule }]);
  };
  const conflict = styleConflict(headerNames, signatureStyles);
  if (conflict) throw refuse(conflict.name, `the signature style ${conflict.style}`);
  const name = signature && declaredConflict(headerNames, signature);
  if (name) throw refuse(name, "the webhook's signature");
}

/** Without the members that are undefined. */
function given<T extends object>(change: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(change).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** @throws ApiError state_conflict if the tenant has as many webhooks as it may have */
async function requireWebhookQuota({ maxWebhooks }: Services, tx: Tx, tenantId: string): Promise<void> {
  if (await hasPlaceForWebhook(tx, tenantId, maxWebhooks)) return;
  throw new ApiError('state_conflict', `There are ${maxWebhooks} webhooks, which is the most there may be.`);
}

/** Webhooks of a tenant that may have a filter: every publish evaluates them. */
const MAX_FILTERED = 200;
/** All filters of a tenant are loaded and compiled together when one has changed: some ten milliseconds at worst. */
const MAX_FILTER_BYTES_OF_TENANT = 512 * 1024;

/** @throws ApiError validation_failed if this filter and those of the tenant's other webhooks are too many or too long */
async function requireFilterQuota(tx: Tx, tenantId: string, webhookId: string, filter: Filter): Promise<void> {
  const others = await sizeOfFilters(tx, tenantId, webhookId);
  const refuse = (rule: string) =>
    new ApiError('validation_failed', 'There are too many filters.', [{ field: 'filter', rule }]);
  if (others.count >= MAX_FILTERED) {
    throw refuse(`must be null: ${MAX_FILTERED} webhooks have a filter, which is the most there may be`);
  }
  if (others.bytes + filterBytes(filter) > MAX_FILTER_BYTES_OF_TENANT) {
    throw refuse(`must be shorter: all filters of a tenant may have ${MAX_FILTER_BYTES_OF_TENANT} bytes as JSON`);
  }
}

/** The settings that a body holds, as they are stored; undefined for those that it does not name. */
function toSettings(
  { services, tenantId }: Owner,
  webhookId: string,
  body: z.output<typeof patchWebhookBody>,
): Partial<WebhookSettings> {
  const sealHeaders = (headers: Record<string, string>) =>
    Object.keys(headers).length === 0
      ? null
      : services.secretBox.seal(JSON.stringify(headers), { tenantId, webhookId });
  return {
    url: body.url?.href,
    host: body.url?.host,
    patterns: body.events,
    description: body.description,
    metadata: body.metadata,
    retryPolicy: body.retry_policy,
    timeoutMs: body.timeout,
    sealedHeaders: body.headers && sealHeaders(body.headers),
    headerNames: body.headers && Object.keys(body.headers),
    signatureStyles: body.signature_styles,
    signature: body.signature,
    rateLimit: body.rate_limit,
    maxInFlight: body.max_in_flight,
    mode: body.mode,
    ordered: body.ordered,
    breaker: body.circuit_breaker,
    disableAfter: body.disable_after === null ? NEVER_DISABLE : body.disable_after,
    payload: body.payload,
    payloadVersion: body.payload_version,
    filter: body.filter,
    bodyFormat: body.body_format,
    envelope: body.envelope,
    status: body.active === undefined ? undefined : body.active ? 'active' : 'paused',
  };
}

type Owner = Pick<Context<unknown, unknown>, 'services' | 'tenantId'>;

const NEVER_DISABLE = { failedDeliveries: null, failingForMs: null };
