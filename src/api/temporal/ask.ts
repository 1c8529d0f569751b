import type { Services } from '../services';

/** Asks a running workflow; undefined where it does not answer, or as many questions of this tenant are under way as may be. */
export async function askEngine<T>(
  { questions }: Pick<Services, 'questions'>,
  tenantId: string,
  ask: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const done = questions.take(tenantId);
  try {
    return done && (await ask());
  } finally {
    done?.();
  }
}
