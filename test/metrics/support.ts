/** What a scrape brings, as Prometheus would see it. */
export type Scrape = {
  status: number;
  contentType: string | null;
  text: string;
  /** The value of a series by its name and labels, as in `a_total{path="express"}`; undefined where there is none. */
  value(series: string): number | undefined;
  /** The names of what is measured. */
  names: Set<string>;
};

export async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(url);
  const text = await response.text();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, series, value] = /^([^#\s].*) (\S+)$/.exec(line) ?? [];
    if (series) samples.set(series, Number(value));
  }
  return {
    status: response.status,
    contentType: response.headers.get('content-type'),
    text,
    value: (series) => samples.get(series),
    names: new Set([...samples.keys()].map((series) => series.split('{')[0]!)),
  };
}

/** Where a process serves its metrics, as its log says. */
export function metricsUrl(lines: readonly string[]): string {
  const line = lines.find((text) => text.includes('"metrics_ready"'));
  if (!line) throw new Error(`no metrics_ready in:\n${lines.join('\n')}`);
  return (JSON.parse(line) as { url: string }).url;
}
