/** What programs that a script starts get of its environment; the list and the reasons: src/embedded/child-env.ts. */
import { readFileSync } from 'node:fs';

const file = new URL('../tools/child-env.json', import.meta.url);
const { servers, tools } = JSON.parse(readFileSync(file, 'utf8'));

/** @param {string[]} more names beside those of every tool */
export function toolEnv(...more) {
  const allowed = [...servers, ...tools, ...more];
  return Object.fromEntries(allowed.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])));
}
