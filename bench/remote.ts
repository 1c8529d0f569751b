import type { ChildProcess } from 'node:child_process';

/** The methods that a child process of the benchmark offers to the harness. */
type Methods = { [name: string]: (...args: never[]) => unknown };
type Question = { n: number; name: string; args: unknown[] };
type Answer = { n: number; value?: unknown; error?: string };

export type Remote<M extends Methods> = <K extends keyof M & string>(
  name: K,
  ...args: Parameters<M[K]>
) => Promise<Awaited<ReturnType<M[K]>>>;

/** In the child: answers the harness's calls. */
export function serve(methods: Methods): void {
  process.channel?.ref(); // ./tie let go of it
  process.on('message', async ({ n, name, args }: Question) => {
    const answer: Answer = await Promise.resolve()
      .then(() => methods[name]!(...(args as never[])))
      .then(
        (value) => ({ n, value }),
        (error: Error) => ({ n, error: error.message }),
      );
    process.send?.(answer);
  });
}

/** In the harness: calls a method of the child. Rejects where it throws, or where the child ends first. */
export function remote<M extends Methods>(child: ChildProcess): Remote<M> {
  const open = new Map<number, (answer: Answer) => void>();
  let last = 0;
  child.on('message', (answer: Answer) => {
    open.get(answer.n)?.(answer);
    open.delete(answer.n);
  });
  child.once('exit', (code, signal) => {
    for (const [n, end] of open) end({ n, error: `the process ended (${signal ?? code})` });
    open.clear();
  });
  return (name, ...args) =>
    new Promise((resolve, reject) => {
      const n = ++last;
      open.set(n, ({ error, value }) =>
        error === undefined ? resolve(value as never) : reject(new Error(`${name}: ${error}`)),
      );
      child.send({ n, name, args } satisfies Question, (error) => error && reject(error));
    });
}
