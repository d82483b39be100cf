/**
 * That every bug can still be planted, and that a few that are seen soon are
 * seen. `deno task planted` hunts for all of them.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { hunt } from "./hunt.ts";
import {
  type PlantedBug,
  readPlantedBug,
  readPlantedBugs,
} from "./planted_bug.ts";
import { PlantedTree, PlantingError } from "./planted_tree.ts";
import { runSeeds } from "./seed_run.ts";

/** Bugs of different parts that a few dozen seeds find. */
const SAMPLE = [
  "command_beyond_the_mailbox",
  "ensemble_delete_of_what_is_gone_is_done",
  "failed_commit_told_as_done",
  "merge_drops_concurrent_siblings",
  "raft_vote_forgotten_by_a_restart",
  "removed_member_keeps_its_partitions",
  "source_lets_go_before_all_is_acknowledged",
  "suspicion_never_lifted",
];
/** Far more seeds than they take. */
const SAMPLE_SEEDS = 500;

Deno.test("every planted bug says what is wrong and still applies", async () => {
  const bugs = await readPlantedBugs();
  assert(bugs.length >= 24, `There are ${bugs.length}`);
  await using tree = await PlantedTree.copy();
  for (const bug of bugs) await tree.checkPlanting(bug);
  const parts = new Set(
    bugs.flatMap(({ files }) =>
      files.map((file) => file.split("/", 2).join("/"))
    ),
  );
  for (
    const part of [
      "src/cluster",
      "src/ensemble",
      "src/handoff",
      "src/kv",
      "src/ra_kv",
      "src/raft",
      "src/request",
      "src/ring",
      "src/storage",
      "src/transport",
      "src/vnode",
    ]
  ) assert(parts.has(part), `No bug is planted in ${part}`);
});

Deno.test("readPlantedBug() refuses a patch that does not say what is wrong", () => {
  assertThrows(
    () => readPlantedBug("a/b.patch", "--- a/src/x.ts\n+++ b/src/x.ts\n"),
    TypeError,
    "Cannot plant b",
  );
});

Deno.test("readPlantedBug() tells of what seeds show a bug: a profile, or a story", () => {
  const shownBy = (line: string) =>
    readPlantedBug(
      "a/b.patch",
      `It is wrong.\n${line}Caught by: progress\n\n--- a/src/x.ts\n`,
    ).shownBy;
  assertEquals(shownBy(""), "small");
  assertEquals(shownBy("Profile: raft\n"), "raft");
  assertEquals(shownBy("Story: ensemble_faults\n"), "ensemble_faults");
  assertThrows(
    () => shownBy("Story: raft\n"),
    TypeError,
    "Cannot plant b as there is no story raft: there are ",
  );
});

Deno.test("PlantedTree names the hunk of a patch that does not apply any more", async () => {
  await using tree = await PlantedTree.copy();
  const path = `${tree.root}/outdated.patch`;
  await Deno.writeTextFile(
    path,
    `Nothing is wrong.
Caught by: nothing

--- a/mod.ts
+++ b/mod.ts
@@ -41,2 +41,2 @@
-this never stood here
+nor will this
 at all
`,
  );
  const bug = readPlantedBug(path, await Deno.readTextFile(path));
  await assertRejects(
    () => tree.plant(bug),
    PlantingError,
    "Cannot plant outdated as its patch does not apply any more: patch failed: mod.ts:41",
  );
});

Deno.test("runSeeds() goes on behind a seed that ended its process", async () => {
  await using tree = await PlantedTree.copy();
  await Deno.writeTextFile(
    `${tree.root}/src/simulation/simulate.ts`,
    `export async function simulate({ seed }: { seed: number }) {
  if (seed === 2) queueMicrotask(() => { throw new Error("It falls"); });
  await new Promise((resolve) => setTimeout(resolve));
  return {
    violations: seed === 4 ? [{ check: "four", message: "is wrong" }] : [],
  };
}
`,
  );
  const failed = await runSeeds(tree, { from: 1, to: 5, first: false });
  assertEquals(
    failed.map(({ seed, check }) => [seed, check]),
    [[2, "crashes"], [4, "four"]],
  );
  assert(failed[0]?.message.includes("It falls"), failed[0]?.message);
});

for (const name of SAMPLE) {
  Deno.test(`the simulator sees ${name}`, async () => {
    const [bug] = await readPlantedBugs([name]) as [PlantedBug];
    await using clean = await PlantedTree.copy();
    const { caught, unsound } = await hunt(bug, {
      seeds: SAMPLE_SEEDS,
      clean,
      typeCheck: false,
    });
    assert(caught !== undefined, `${SAMPLE_SEEDS} seeds did not`);
    assertEquals(unsound, []);
  });
}
