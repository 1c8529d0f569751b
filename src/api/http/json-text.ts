/** What JSON.stringify would give, ready to be sent: for answers whose parts are turned into text one by one. */
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

/** The text of a body, whether it is that already or not; undefined where JSON has no such value. */
export function toJson(body: unknown): string | undefined {
  return body instanceof JsonText ? body.text : JSON.stringify(body);
}
