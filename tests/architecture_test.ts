/**
 * Holds the tree to its own rules, see `architecture/`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  choiceViolations,
  cycleViolations,
  layerViolations,
  missingFileViolations,
} from "./architecture/import_rules.ts";
import {
  purityViolations,
  seamViolations,
} from "./architecture/effect_rules.ts";
import {
  dependencyViolations,
  headerViolations,
  leftoverViolations,
  nameViolations,
} from "./architecture/tidy_rules.ts";
import { readModules, type SourceFile } from "./architecture/source_module.ts";

const ROOT = new URL("../", import.meta.url);
const TEXT = /\.(ts|md|json|sh)$|^\.ci\//;
// What is not ours (packages, recorded data) or not committed.
const SKIPPED = /^(\.git|node_modules|data|coverage|tests\/golden)$/;

async function readTree(folder = ""): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = folder + entry.name;
    if (SKIPPED.test(path)) continue;
    if (entry.isDirectory) files.push(...await readTree(`${path}/`));
    if (!entry.isFile || !TEXT.test(path)) continue;
    files.push({ path, text: await Deno.readTextFile(new URL(path, ROOT)) });
  }
  return files;
}

const files = await readTree();
const modules = readModules(files);

function assertNone(violations: readonly string[]): void {
  assert(violations.length === 0, `\n${violations.join("\n")}`);
}

Deno.test("readTree() finds the code, so that no rule passes for lack of files", () => {
  const paths = new Set(files.map(({ path }) => path));
  for (
    const path of [
      "deno.json",
      ".ci/run",
      "src/ring/ring.ts",
      "supervisors/mod.ts",
      "cli/main.ts",
      "tests/architecture_test.ts",
    ]
  ) assert(paths.has(path), path);
  assertEquals(modules.every(({ path }) => path.endsWith(".ts")), true);
});

Deno.test("imports point down the layers", () =>
  assertNone(layerViolations(modules)));

Deno.test("no file imports itself through others", () =>
  assertNone(cycleViolations(modules)));

Deno.test("only the node, the command, tests and benchmarks choose implementations", () =>
  assertNone(choiceViolations(modules)));

Deno.test("files that decide never wait, read a clock, draw random numbers or do I/O", () =>
  assertNone(purityViolations(modules)));

Deno.test("only implementations reach the outside, all others use Environment and Runtime", () =>
  assertNone(seamViolations(modules)));

Deno.test("published modules depend on pinned npm packages, each in one version", () =>
  assertNone(dependencyViolations(modules)));

Deno.test("every file named by URL exists", () =>
  assertNone(missingFileViolations(modules)));

Deno.test("no file is named as a left-over", () =>
  assertNone(nameViolations(files)));

Deno.test("every module of the library begins with a comment that says what it is", () =>
  assertNone(headerViolations(modules)));

Deno.test("no comment leaves work for later, and no test is disabled", () =>
  assertNone(leftoverViolations(files)));
