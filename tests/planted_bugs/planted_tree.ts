/**
 * A copy of the tree's production code in a temporary folder, into which a bug
 * can be planted, and in which seeds can be run.
 *
 * @module
 */
import type { PlantedBug } from "./planted_bug.ts";
import { ROOT } from "./places.ts";

/** What a simulation needs of the tree. */
const PARTS = [
  "src",
  "supervisors",
  "mod.ts",
  "deno.json",
  "deno.lock",
  "tests/planted_bugs/seed_loop.ts",
  "tests/simulation/scenarios",
];

/** A patch that cannot be planted, and why. */
export class PlantingError extends Error {}

/** A copy of the tree; removed when it is disposed of. */
export class PlantedTree implements AsyncDisposable {
  /** Where it is. */
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** Copies the tree as it is now, or another copy, in which nothing must be planted. */
  static async copy(from?: PlantedTree): Promise<PlantedTree> {
    const source = from === undefined ? ROOT : `${from.root}/`;
    const tree = new PlantedTree(
      await Deno.makeTempDir({ prefix: "whorl-planted-" }),
    );
    try {
      for (const part of PARTS) {
        await copyPart(`${source}${part}`, `${tree.root}/${part}`);
      }
      return tree;
    } catch (error) {
      await tree[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Plants `bug`.
   *
   * @throws {PlantingError} If its patch does not apply, naming the hunk.
   */
  async plant(bug: PlantedBug): Promise<void> {
    await this.#apply(bug, []);
  }

  /** As {@linkcode PlantedTree.plant}, and changes nothing. @throws {PlantingError} As that. */
  async checkPlanting(bug: PlantedBug): Promise<void> {
    await this.#apply(bug, ["--check"]);
  }

  async #apply(
    { name, path }: PlantedBug,
    flags: readonly string[],
  ): Promise<void> {
    const { code, stderr } = await this.#run("git", ["apply", ...flags, path]);
    if (code === 0) return;
    throw new PlantingError(
      `Cannot plant ${name} as its patch does not apply any more: ${
        stderr.split("\n").filter((line) => line.startsWith("error: "))
          .map((line) => line.slice("error: ".length)).join("; ")
      }`,
    );
  }

  /** @throws {PlantingError} If the code has an error that the compiler sees: such a bug would prove nothing. */
  async typeCheck(): Promise<void> {
    const { code, stderr } = await this.#run(Deno.execPath(), [
      "check",
      "--quiet",
      "mod.ts",
      "supervisors/mod.ts",
    ]);
    if (code !== 0) {
      throw new PlantingError(`The code does not compile: ${stderr.trim()}`);
    }
  }

  async #run(
    command: string,
    args: readonly string[],
  ): Promise<{ readonly code: number; readonly stderr: string }> {
    const { code, stderr } = await new Deno.Command(command, {
      args: [...args],
      cwd: this.root,
      env: {
        // With a repository around it, git would look for the files there.
        GIT_CEILING_DIRECTORIES: this.root.slice(0, this.root.lastIndexOf("/")),
        NO_COLOR: "1",
        LC_ALL: "C",
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  }

  /** Removes the copy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

/** Copies a file, or a folder without its tests. */
async function copyPart(from: string, to: string): Promise<void> {
  const { isDirectory } = await Deno.stat(from);
  if (!isDirectory) {
    await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(from, to);
    return;
  }
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    if (name.endsWith("_test.ts")) continue;
    await copyPart(`${from}/${name}`, `${to}/${name}`);
  }
}
