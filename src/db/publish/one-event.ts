import { PRIORITIES } from '../../domain/priorities';
import { wants } from './sql';
import type { NewEvent } from './types';

/** The parameters of {@link ONE_EVENT} and {@link RECIPIENTS_OF_ONE}. */
export type OneEvent = Pick<NewEvent, 'id' | 'tenantId' | 'type' | 'body' | 'createdAt' | 'patterns'> & {
  keyFields: string[] | null;
  priority: number;
  version: string | null;
  excluded: string[];
};

/** The columns of `new_events`, if it is a single one. */
export const ONE_EVENT = `:id::uuid as id, :tenantId::uuid as tenant_id, :type::text as type, :body::bytea as body,
    :createdAt::timestamptz as created_at, :keyFields::text[] as key_fields, :priority::smallint as priority,
    :version::text as version, 1 as place`;

/** `recipients` of a single event. */
export const RECIPIENTS_OF_ONE = `
-- Each webhook once, by however many of its patterns it is found.
recipients as (
  select distinct s.webhook_id, s.minimal
  from subscriptions s
  where s.tenant_id = :tenantId and s.pattern = any(:patterns::text[])
    and ${wants(':version::text', ':excluded::uuid[]')})`;

/** An event as the parameters of its statement. */
export function toOneEvent(event: Omit<NewEvent, 'producerId'>): OneEvent {
  const { id, tenantId, type, body, createdAt, patterns, priority = 'normal' } = event;
  const { version = null, excluded = [], keyFields = null } = event;
  return {
    id,
    tenantId,
    type,
    body,
    createdAt,
    patterns,
    priority: PRIORITIES[priority],
    version,
    excluded,
    keyFields,
  };
}
