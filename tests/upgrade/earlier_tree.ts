/**
 * The tree of an earlier commit in a temporary folder, to run nodes of that
 * version from.
 *
 * @module
 */
import { reasonOf } from "../../src/base/errors.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The version that nodes are upgraded from: the last one before handoff and capabilities. Protocol 2. */
export const EARLIER_COMMIT = "152cb21e75d8390ca56b684a6d06135abab7a7e1";

/** A tree, or why there is none. */
export type CheckOut =
  | { readonly tree: EarlierTree }
  | { readonly skipped: string };

/** A tree; removed when it is disposed of. */
export class EarlierTree implements AsyncDisposable {
  /** Where it is, without a slash at the end. */
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** The tree of `commit`. A clone without that much history, or a copy without any, has none. */
  static async checkOut(commit: string): Promise<CheckOut> {
    if (!await isRepository()) return { skipped: "no history" };
    const root = await Deno.makeTempDir({ prefix: "whorl-earlier-" });
    const tree = new EarlierTree(root);
    const archive = `${root}/tree.tar`;
    const skipped =
      await failureOf("git", "-C", ROOT, "archive", "-o", archive, commit) ??
        await failureOf("tar", "-xf", archive, "-C", root);
    if (skipped === undefined) return { tree };
    await tree[Symbol.asyncDispose]();
    return { skipped: `no history: ${skipped}` };
  }

  /** What runs a node of that version for a test. */
  get nodeScript(): string {
    return `${this.root}/tests/harness/node_process.ts`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

/** Whether this very tree is under version control: a copy of it may lie in another project's. */
async function isRepository(): Promise<boolean> {
  try {
    await Deno.stat(`${ROOT}.git`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Runs a program; what it complained of if it did not succeed. */
async function failureOf(
  program: string,
  ...args: string[]
): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (success) return undefined;
    const [line] = new TextDecoder().decode(stderr).trim().split("\n");
    return `${program}: ${line}`;
  } catch (error) {
    return `${program}: ${reasonOf(error)}`;
  }
}
