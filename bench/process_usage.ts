/**
 * Processor time and memory of a process, as Linux counts them.
 *
 * @module
 */

/** Linux counts in hundredths of a second. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time a process has used, in user and system mode. */
export function cpuSeconds(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Seconds of processor time all processes have used, and other machines on the same processors; without what gives way to others (`nice`). */
export function machineCpuSeconds(): number {
  const [first = ""] = Deno.readTextFileSync("/proc/stat").split("\n");
  const [user, , system, , , irq, softIrq, steal] = first.split(/\s+/)
    .slice(1).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
  return (user + system + irq + softIrq + steal) / TICKS_PER_SECOND;
}

/** Megabytes a process holds in memory. */
export function memoryMb(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

/** What a thread has used so far. */
export interface ThreadUsage {
  /** Microseconds on a processor. */
  readonly cpuUs: number;
  /** How often it went to sleep, and so had to be woken. */
  readonly sleeps: number;
}

/** What the threads of a process have used, by their numbers; the first one is the main thread. */
export function threadUsages(pid: number): Map<number, ThreadUsage> {
  const usages = new Map<number, ThreadUsage>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const task = `/proc/${pid}/task/${name}`;
    try {
      const [cpuNs] = Deno.readTextFileSync(`${task}/schedstat`).split(" ");
      const status = Deno.readTextFileSync(`${task}/status`);
      usages.set(Number(name), {
        cpuUs: Number(cpuNs) / 1_000,
        sleeps: Number(
          /^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0,
        ),
      });
    } catch (error) {
      // A thread that has ended since.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return usages;
}
