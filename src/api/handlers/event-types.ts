import type { z } from 'zod';
import type { Tx } from '../../db/database';
import {
  bytesOfVersions,
  countEventTypes,
  deleteEventType,
  type EventType,
  type EventTypeSettings,
  type EventTypeVersion,
  findEventType,
  insertEventType,
  insertVersion,
  listEventTypes,
  listVersions,
  measureVersions,
  type NewVersion,
  updateEventType,
} from '../../db/store/event-types';
import { type Part, upTo } from '../../db/store/scan';
import { compactJson } from '../../domain/json-layout';
import { rawMembers } from '../../domain/raw-member';
import { STANDARD_EVENT_TYPES, STANDARD_VERSION } from '../../domain/standard-event-types';
import { type Steps, WorkBudget } from '../../domain/work-budget';
import { audited } from '../audited';
import { ApiError, noSuchEventType } from '../errors';
import { eventTypePage } from '../html/event-type-page';
import { HTML_PAGE_HEADERS } from '../html/html-page';
import { JsonText } from '../http/json-text';
import { FEW_AT_ONCE, fill, toPage } from '../page';
import { BadSchemaError, createValidator, requireGoodSchema } from '../publish/data-validator';
import { MAX_PUBLISH_UNITS } from '../publish/prepare-event';
import { changedMembers } from '../read-back';
import type { Context, HandlerResult } from '../route';
import {
  type addVersionBody,
  type createEventTypeBody,
  type listEventTypesQuery,
  MAX_EXAMPLE_CHARACTERS,
  type patchEventTypeBody,
  SHOWN_OF_EVENT_TYPE,
} from '../schemas/event-types';

type None = undefined;

const MAX_TYPES = 1_000;
const MAX_VERSIONS = 20;
/** Bytes of the schemas and examples of a type's versions: one answer shows them all. */
const MAX_VERSIONS_BYTES = 1024 * 1024;
/** Bytes of all schemas and examples of a tenant, as JSON: each api process keeps those that publishes use in memory. */
const MAX_VERSION_BYTES_OF_TENANT = 4 * 1024 * 1024;

export async function create(context: Context<z.output<typeof createEventTypeBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, body } = context;
  await audited(context, 'event_type.create', body.name, async (tx) => {
    if ((await countEventTypes(tx, tenantId)) >= MAX_TYPES) throw tooMany(`${MAX_TYPES} event types`);
    if (await insertEventType(tx, tenantId, body.name, toSettings(body) as EventTypeSettings)) return true;
    throw new ApiError('state_conflict', 'There is an event type of this name.');
  });
  services.publishRules.invalidate(tenantId);
  return { status: 201, body: await show(context, body.name) };
}

/** Adds the ten standard types. Types that the tenant has already stay as they are. */
export async function seed(context: Context<unknown, None>): Promise<HandlerResult> {
  const { services, tenantId } = context;
  const created: string[] = [];
  await audited(
    context,
    'event_type.seed',
    'standard',
    async (tx) => {
      const left = MAX_TYPES - (await countEventTypes(tx, tenantId));
      for (const { name, schema, example, ...settings } of STANDARD_EVENT_TYPES) {
        if (!(await insertEventType(tx, tenantId, name, { ...settings, deprecated: false }))) continue;
        const texts = { schemaText: JSON.stringify(schema), exampleText: JSON.stringify(example) };
        await insertVersion(tx, tenantId, name, { version: STANDARD_VERSION, schema, example, ...texts });
        created.push(name);
      }
      if (created.length > left) throw tooMany(`${MAX_TYPES} event types`);
      return created.length > 0;
    },
    () => ({ created }),
  );
  services.publishRules.invalidate(tenantId);
  const existing = STANDARD_EVENT_TYPES.map(({ name }) => name).filter((name) => !created.includes(name));
  return { status: 200, body: { created, existing } };
}

export async function list({
  services,
  tenantId,
  query,
  inSlices,
}: Context<None, z.output<typeof listEventTypesQuery>>): Promise<HandlerResult> {
  const read = async ({ limit, beforeId }: Part) => {
    const rows = await listEventTypes(services.db.kysely, tenantId, limit + 1, beforeId);
    return upTo(
      limit,
      rows.map((row) => ({ ...row, id: row.name })),
    );
  };
  const { items, next = null } = await fill(query, { read, toOut, atOnce: FEW_AT_ONCE }, inSlices);
  return { status: 200, body: toPage(items, next) };
}

export async function get(context: Context<None, None>): Promise<HandlerResult> {
  return { status: 200, body: await show(context, context.ids.name!) };
}

export async function patch(context: Context<z.output<typeof patchEventTypeBody>, None>): Promise<HandlerResult> {
  const { services, tenantId, body } = context;
  const name = context.ids.name!;
  const sent = JSON.parse(context.bodyText) as Record<string, unknown>;
  let fields: string[] = [];
  // A body that was read is compared with all that is shown.
  const shown = 'name' in sent ? JSON.parse((await show(context, name)).text) : {};
  const updated = await audited(
    context,
    'event_type.update',
    name,
    async (tx) => {
      fields = [...changedMembers(sent, shown, SHOWN_OF_EVENT_TYPE)];
      const settings = Object.fromEntries(Object.entries(body).filter(([member]) => fields.includes(member)));
      return fields.length > 0 && (await updateEventType(tx, tenantId, name, toSettings(settings)));
    },
    () => ({ fields }),
  );
  if (!updated && fields.length > 0) throw noSuchEventType();
  services.publishRules.invalidate(tenantId);
  return { status: 200, body: await show(context, name) };
}

export async function remove(context: Context<None, None>): Promise<HandlerResult> {
  const { services, tenantId } = context;
  const name = context.ids.name!;
  const removed = await audited(context, 'event_type.delete', name, (tx) => deleteEventType(tx, tenantId, name));
  if (!removed) throw noSuchEventType();
  services.publishRules.invalidate(tenantId);
  return { status: 204 };
}

/** A version never changes: what was valid once stays valid. */
export async function addVersion(context: Context<z.output<typeof addVersionBody>, None>): Promise<HandlerResult> {
  const { services, tenantId } = context;
  const name = context.ids.name!;
  const body = { ...context.body, ...textsOf(context.bodyText, context.body) };
  await context.inSlices(requireGood(body));
  await audited(
    context,
    'event_type.version.create',
    name,
    async (tx) => {
      await requireSchemaQuota(tx, tenantId, body);
      const known = await measureVersions(tx, tenantId, name);
      if (known === undefined) throw noSuchEventType();
      if (known.bytes + bytesOf(body) > MAX_VERSIONS_BYTES) {
        const detail = `All schemas and examples of an event type may have ${MAX_VERSIONS_BYTES} bytes together.`;
        throw new ApiError('state_conflict', detail);
      }
      if (known.count >= MAX_VERSIONS) throw tooMany(`${MAX_VERSIONS} versions of this event type`);
      if (await insertVersion(tx, tenantId, name, body)) return true;
      throw new ApiError('state_conflict', 'There is such a version already; a version never changes.');
    },
    () => ({ version: body.version }),
  );
  services.publishRules.invalidate(tenantId);
  return { status: 201, body: await show(context, name) };
}

export async function docs({ services, tenantId, ids }: Context<None, None>): Promise<HandlerResult> {
  const { type, versions } = await find(services, tenantId, ids.name!);
  return { status: 200, html: eventTypePage(type, versions), headers: HTML_PAGE_HEADERS };
}

/** @throws ApiError validation_failed, naming what is wrong with the schema, or with the example under it */
function* requireGood({ schema, schemaText, example, exampleText }: NewVersion): Steps<void> {
  if (exampleText && exampleText.length > MAX_EXAMPLE_CHARACTERS) {
    throw new ApiError('validation_failed', 'The example is too long.', [
      { field: 'example', rule: `must have at most ${MAX_EXAMPLE_CHARACTERS} characters` },
    ]);
  }
  if (!schema || !schemaText) return;
  try {
    requireGoodSchema(schema);
  } catch (error) {
    if (!(error instanceof BadSchemaError)) throw error;
    throw new ApiError('validation_failed', 'The schema cannot be used.', error.fields);
  }
  if (!example || !exampleText) return;
  yield;
  const problems = yield* createValidator(schemaText).check(example, exampleText, new WorkBudget(MAX_PUBLISH_UNITS));
  if (problems.length === 0) return;
  const fields = problems.map(({ field, rule }) => ({ field: field.replace(/^data/, 'example'), rule }));
  throw new ApiError('validation_failed', 'The example does not match the schema.', fields);
}

/** @throws ApiError validation_failed if the tenant's schemas and examples would be too long */
async function requireSchemaQuota(tx: Tx, tenantId: string, added: NewVersion) {
  const bytes = bytesOf(added);
  if (bytes === 0 || (await bytesOfVersions(tx, tenantId)) + bytes <= MAX_VERSION_BYTES_OF_TENANT) return;
  const rule = `must be shorter: all schemas and examples of a tenant may have ${MAX_VERSION_BYTES_OF_TENANT} bytes as JSON`;
  throw new ApiError('validation_failed', 'The schemas are too long.', [
    { field: added.schema ? 'schema' : 'example', rule },
  ]);
}

/** Bytes of a version's schema and example as they are stored. */
const bytesOf = ({ schemaText, exampleText }: NewVersion) =>
  Buffer.byteLength(schemaText ?? '') + Buffer.byteLength(exampleText ?? '');

/** Schema and example as they were written: parsing them rounds large numbers. */
function textsOf(bodyText: string, { schema, example }: z.output<typeof addVersionBody>) {
  const written = rawMembers(bodyText, new Set(['schema', 'example']));
  return {
    schemaText: schema && compactJson(written.get('schema')!),
    exampleText: example && compactJson(written.get('example')!),
  };
}

const tooMany = (what: string) => new ApiError('state_conflict', `There are ${what}, which is the most there may be.`);

type Asked = Pick<Context<unknown, unknown>, 'services' | 'tenantId' | 'inSlices'>;

async function show({ services, tenantId, inSlices }: Asked, name: string): Promise<JsonText> {
  const { type, versions } = await find(services, tenantId, name);
  return JsonText.object({ ...toOut(type), versions: JsonText.list(await inSlices(toTexts(versions))) });
}

/** Schema and example of each may have 64 KiB. */
function* toTexts(versions: readonly EventTypeVersion[]): Steps<string[]> {
  const texts: string[] = [];
  for (const { version, schemaText, exampleText, createdAt } of versions) {
    yield;
    const [schema, example] = [schemaText, exampleText].map((text) => new JsonText(text ?? 'null'));
    texts.push(JsonText.object({ version, schema, example, created_at: createdAt }).text);
  }
  return texts;
}

async function find(
  { db }: Asked['services'],
  tenantId: string,
  name: string,
): Promise<{ type: EventType; versions: EventTypeVersion[] }> {
  const type = await findEventType(db.kysely, tenantId, name);
  if (!type) throw noSuchEventType();
  return { type, versions: await listVersions(db.kysely, tenantId, name) };
}

function toSettings({ description, deprecated, key_fields }: z.output<typeof patchEventTypeBody>) {
  return {
    ...(description !== undefined && { description }),
    ...(deprecated !== undefined && { deprecated }),
    ...(key_fields && { keyFields: key_fields }),
  };
}

function toOut({ name, description, deprecated, keyFields, createdAt, updatedAt }: EventType) {
  return {
    name,
    description,
    deprecated,
    key_fields: keyFields,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}
