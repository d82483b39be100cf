/**
 * Raft groups from seeds: networks that lose, double and delay, cuts, crashes
 * that forget what was not synced, disks that stall, fail or are lost, changes of
 * members, snapshots, transfers. At all times: election safety, log matching,
 * leader completeness and state machine safety (paper, figure 3), nothing is said
 * that a crash could take back, no acknowledged command is lost, reads are
 * linearizable; and when the trouble ends, the group recovers.
 *
 * Many more seeds, or one of them in detail: `deno task raft:groups`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  type GroupResult,
  measureFailover,
  runGroup,
} from "../../src/raft/testing/group_run.ts";

const SEEDS = 80;

Deno.test("Raft groups keep all rules with any seed, and recover", () => {
  const results: GroupResult[] = [];
  for (let seed = 0; seed < SEEDS; seed++) {
    try {
      results.push(runGroup({ seed }));
    } catch (error) {
      throw new Error(`See deno task raft:groups ${seed}`, { cause: error });
    }
  }
  // It was worth watching.
  const sum = (count: (result: GroupResult) => number): number =>
    results.reduce((total, result) => total + count(result), 0);
  assert(sum((result) => result.acknowledged) > 100 * SEEDS);
  assert(sum((result) => result.reads) > 20 * SEEDS);
  assert(sum((result) => result.terms) > 2 * SEEDS);
  assert(sum((result) => result.membershipChanges) > SEEDS / 2);
  assert(sum((result) => result.snapshotsInstalled) > SEEDS / 10);
});

Deno.test("a leader whose process ends is replaced in far less than 250 ms", () => {
  const times: number[] = [];
  for (let seed = 0; seed < 101; seed++) times.push(measureFailover(seed));
  times.sort((a, b) => a - b);
  const [median = 0, worst = 0] = [times[50], times[100]];
  assert(median < 120, `median ${median} ms`);
  assert(worst < 500, `worst ${worst} ms`);
});

Deno.test("runGroup() does the same for the same seed", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    runGroup({ seed: 7, trace: (line) => lines.push(line) });
    return lines;
  });
  assert(traces[0]!.length > 1000);
  assertEquals(traces[0]!.join("\n") === traces[1]!.join("\n"), true);
});
