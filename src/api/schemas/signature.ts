import { z } from 'zod';
import {
  type DeclaredSignature,
  FACTS,
  ID_FORMATS,
  JOIN,
  MAX_JOIN_LENGTH,
  MAX_PREFIX_LENGTH,
  MAX_SIGNED_LENGTH,
  PREFIX,
  SIGNATURE_ALGORITHMS,
  SIGNATURE_DEFAULTS,
  SIGNATURE_ENCODINGS,
  SIGNATURE_KEYS,
  SIGNATURE_PRESET_NAMES,
  SIGNATURE_PRESETS,
  SIGNED,
  type SignatureScheme,
  TIMESTAMP_FORMATS,
  TIMESTAMPS_OF,
} from '../../domain/declared-signature';
import { TOKEN } from '../../egress/custom-headers';
import { declaredProblem } from '../../egress/declared-headers';

/** Named in `declaredProblem` as well, which says what is wrong with a name; this is for the OpenAPI document. */
const headerName = z.string().meta({ pattern: TOKEN.source, maxLength: 128, examples: ['X-Signature'] });
const nameOrNone = headerName.nullable();

const members = {
  header: headerName,
  algorithm: z.enum(SIGNATURE_ALGORITHMS),
  encoding: z.enum(SIGNATURE_ENCODINGS),
  key: z.enum(SIGNATURE_KEYS),
  prefix: z
    .string()
    .max(MAX_PREFIX_LENGTH)
    .meta({ pattern: PREFIX.source, examples: ['sha256='] }),
  join: z
    .string()
    .max(MAX_JOIN_LENGTH)
    .meta({ pattern: JOIN.source, examples: [' '] })
    .nullable(),
  signed: z
    .string()
    .max(MAX_SIGNED_LENGTH)
    .meta({ pattern: SIGNED.source, examples: ['{timestamp}.{body}'] }),
  ids: z.enum(ID_FORMATS),
};
const timestamp = {
  header: nameOrNone,
  format: z.enum(TIMESTAMP_FORMATS),
  of: z.enum(TIMESTAMPS_OF),
};
const names = Object.fromEntries(FACTS.map((fact) => [fact, nameOrNone])) as Record<
  (typeof FACTS)[number],
  typeof nameOrNone
>;

/** A webhook's own way to sign: a preset, what differs from it, or all of it. Comes out complete. */
export const signature = z
  .strictObject({
    preset: z.enum(SIGNATURE_PRESET_NAMES).nullable().optional(),
    ...z.object(members).partial().shape,
    timestamp: z.strictObject(timestamp).partial().optional(),
    names: z.strictObject(names).partial().optional(),
  })
  .meta({ id: 'SignatureSetting' })
  .transform((given, context): DeclaredSignature => {
    const { preset = null, ...own } = given;
    const base: Omit<SignatureScheme, 'header'> & { header?: string } = preset
      ? SIGNATURE_PRESETS[preset]
      : SIGNATURE_DEFAULTS;
    const declared = {
      preset,
      ...base,
      ...defined(own),
      timestamp: { ...base.timestamp, ...defined(own.timestamp ?? {}) },
      names: { ...base.names, ...defined(own.names ?? {}) },
    };
    const { header } = declared;
    if (header === undefined) {
      context.addIssue({ code: 'custom', path: ['header'], message: 'must be given, if no preset is named' });
      return z.NEVER;
    }
    const complete = { ...declared, header };
    const problem = declaredProblem(complete);
    if (!problem) return complete;
    context.addIssue({ code: 'custom', path: problem.path, message: problem.rule });
    return z.NEVER;
  });

/** The same as it is shown: complete, and it can be sent back as it is. */
export const signatureOut = z
  .strictObject({
    preset: z.enum(SIGNATURE_PRESET_NAMES).nullable(),
    ...members,
    timestamp: z.strictObject(timestamp),
    names: z.strictObject(names),
  })
  .meta({ id: 'Signature' });

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

const defined = <T extends object>(given: T): Defined<T> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>;
