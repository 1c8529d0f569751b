/** A JSON text that is ready to be sent: for answers whose parts are serialized one by one. */
export class JsonText {
  constructor(readonly text: string) {}

  /** An array of items that are JSON already. */
  static list(items: readonly string[]): JsonText {
    return new JsonText(`[${items.join(',')}]`);
  }

  /** An object with these members, some of which are JSON already. */
  static object(members: Record<string, unknown>): JsonText {
    const parts = Object.entries(members).flatMap(([name, value]) => {
      const text = toJson(value);
      return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
    });
    return new JsonText(`{${parts.join(',')}}`);
  }
}

/** The JSON text of a body, which may be a `JsonText` already; undefined if JSON has no such value. */
export function toJson(body: unknown): string | undefined {
  return body instanceof JsonText ? body.text : JSON.stringify(body);
}
