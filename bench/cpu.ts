import { readdirSync, readFileSync } from 'node:fs';

/** The clock ticks of /proc are 1/100 s on every Linux. */
const MS_PER_TICK = 10;
const KB_PER_MB = 1024;

type Stat = { parent: number; ownTicks: number; deadChildrenTicks: number };

/**
 * CPU time of a process and all its descendants, milliseconds: user and system, dead children included once their
 * parent has waited for them. 10 ms coarse, so measure over seconds. NaN where there is no /proc.
 */
export function cpuMs(root: number): number {
  const processes = allProcesses();
  const ticks = tree(root, processes)
    .map((pid) => processes.get(pid))
    .reduce((sum, stat) => sum + (stat ? stat.ownTicks + stat.deadChildrenTicks : 0), 0);
  return processes.has(root) ? ticks * MS_PER_TICK : Number.NaN;
}

/**
 * Memory of a process and all its descendants, MB. Of a tree each page that is shared (Postgres' buffers) counts
 * once: proportional set size where we may read it. NaN where there is no /proc.
 */
export function memoryMb(root: number): number {
  const pids = tree(root, allProcesses());
  if (pids.length === 0) return Number.NaN;
  const [file, line] = pids.length === 1 ? ['status', /^VmRSS:\s+(\d+)/m] : ['smaps_rollup', /^Pss:\s+(\d+)/m];
  return pids.reduce((sum, pid) => sum + Number(line.exec(read(`/proc/${pid}/${file}`))?.[1] ?? 0), 0) / KB_PER_MB;
}

/** The ids of a process and all its descendants; none where it has ended. */
export function processTree(root: number): number[] {
  return tree(root, allProcesses());
}

/** `root` and its descendants. */
function tree(root: number, processes: Map<number, Stat>): number[] {
  const pids = processes.has(root) ? [root] : [];
  for (const parent of pids) for (const [pid, stat] of processes) if (stat.parent === parent) pids.push(pid);
  return pids;
}

function allProcesses(): Map<number, Stat> {
  const found = new Map<number, Stat>();
  for (const name of list('/proc')) {
    const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : '';
    // proc(5): the second field is the command in brackets and may hold anything; ppid follows the state.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const field = (number: number) => Number(fields[number - 3]);
    if (stat) {
      found.set(Number(name), {
        parent: field(4),
        ownTicks: field(14) + field(15),
        deadChildrenTicks: field(16) + field(17),
      });
    }
  }
  return found;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // ended meanwhile, or not ours to read
  }
}
