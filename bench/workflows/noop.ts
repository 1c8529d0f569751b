/** A workflow that does nothing: what Temporal itself costs, and so the ceiling of the workflow path. */
export async function noop(): Promise<void> {}
