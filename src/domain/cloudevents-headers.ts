/** The header fields of CloudEvents' attributes that ./compose-body.ts sets, and the one that stands for `content-type`. */
export const CLOUDEVENTS_HEADERS = [
  'ce-specversion',
  'ce-id',
  'ce-source',
  'ce-type',
  'ce-time',
  'ce-eventversion',
  'ce-datacontenttype',
] as const;
