/** Names of the search attributes of Posthorn's workflows in Temporal; all of type Keyword. */
export const SEARCH_ATTRIBUTES = {
  tenant: 'PosthornTenant',
  webhook: 'PosthornWebhook',
  eventType: 'PosthornEventType',
  state: 'PosthornState',
} as const;
