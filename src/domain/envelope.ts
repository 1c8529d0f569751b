import { toPublicId } from './ids';

export type EnvelopeParts = {
  /** uuid */
  id: string;
  type: string;
  version: string;
  createdAt: Date;
  /** JSON text, sent as it was written. */
  data: string;
};

/** The bytes of an event that are signed and sent, the same for every receiver and every attempt. */
export function envelope({ id, type, version, createdAt, data }: EnvelopeParts): Buffer {
  const head = JSON.stringify({ id: toPublicId('event', id), type, timestamp: createdAt, version });
  return Buffer.from(`${head.slice(0, -1)},"data":${data}}`);
}
