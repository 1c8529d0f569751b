import { PRIORITIES } from '../../domain/priorities';
import type { Values } from '../prepared-statement';
import { wants } from './sql';
import type { NewEvent } from './types';

/** The parameters of {@link ONE_EVENT} and {@link RECIPIENTS_OF_ONE}. */
export const ONE_EVENT_PARAMETERS = {
  id: 'uuid',
  tenant_id: 'uuid',
  type: 'text',
  body: 'bytea',
  created_at: 'timestamptz',
  patterns: 'text[]',
  key_fields: 'text[]',
  priority: 'smallint',
  version: 'text',
  excluded: 'uuid[]',
} as const;

/** The columns of `new_events`, if it is a single one. */
export const ONE_EVENT = `:id as id, :tenant_id as tenant_id, :type as type, :body as body,
    :created_at as created_at, :key_fields as key_fields, :priority as priority,
    :version as version, 1 as place`;

/** `recipients` of a single event. */
export const RECIPIENTS_OF_ONE = `
-- Each webhook once, by however many of its patterns it is found.
recipients as (
  select distinct s.webhook_id, s.minimal
  from subscriptions s
  where s.tenant_id = :tenant_id and s.pattern = any(:patterns)
    and ${wants(':version', ':excluded')})`;

/** An event as the parameters of its statement. */
export function toOneEvent(event: Omit<NewEvent, 'producerId'>): Values<typeof ONE_EVENT_PARAMETERS> {
  const { id, tenantId, type, body, createdAt, patterns, priority = 'normal' } = event;
  const { version = null, excluded = [], keyFields = null } = event;
  return {
    ...{ id, tenant_id: tenantId, type, body, created_at: createdAt, patterns, version, excluded },
    key_fields: keyFields,
    priority: PRIORITIES[priority],
  };
}
