/**
 * Runs simulated Raft groups from many seeds, or shows all that happens to one.
 *
 *     deno task raft:groups 0 20000
 *     deno task raft:groups 4711
 *
 * @module
 */
import { reasonOf } from "../../base/errors.ts";
import { type GroupResult, runGroup } from "./group_run.ts";

/** Seeds that fail until there is enough to look at. */
const FAILURES_MAX = 10;

if (import.meta.main) {
  const [first = 0, end] = Deno.args.map(Number);
  Deno.exitCode = end === undefined ? showOne(first) : runMany(first, end);
}

function showOne(seed: number): number {
  const lines: string[] = [];
  try {
    runGroup({ seed, trace: (line) => lines.push(line) });
    return 0;
  } catch (error) {
    lines.push(reasonOf(error));
    return 1;
  } finally {
    print(lines.join("\n"));
  }
}

function runMany(first: number, end: number): number {
  const sum: Record<string, number> = {};
  let failures = 0;
  let seed = first;
  for (; seed < end && failures < FAILURES_MAX; seed++) {
    try {
      addTo(sum, runGroup({ seed }));
    } catch (error) {
      failures++;
      print(`seed ${seed}: ${reasonOf(error)}`);
    }
  }
  print(`${seed - first} seeds, ${failures} failed: ${JSON.stringify(sum)}`);
  return failures === 0 ? 0 : 1;
}

function addTo(sum: Record<string, number>, result: GroupResult): void {
  for (const [name, count] of Object.entries(result)) {
    sum[name] = (sum[name] ?? 0) + count;
  }
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}
