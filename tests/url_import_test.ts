/**
 * Whorl as others have it: from a URL, in a program without our `deno.json`.
 * The files of this tree are served over HTTP; each program stands in a
 * directory of its own.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { ServedTree } from "./harness/served_tree.ts";

const ROOT = new URL("../", import.meta.url);
const FLAGS = ["--allow-net=127.0.0.1", "--allow-read", "--allow-import"];
const FLAGS_WITH_STORE = [...FLAGS, "--unstable-kv", "--allow-write"];
const COUNTER = "examples/counter/counter_vnode.ts";

interface Program {
  /** The directory it stands in. */
  readonly directory: string;
  readonly tree: ServedTree;
  /** Runs it with flags of `deno run`; resolves to what it said. */
  run(flags: readonly string[], ...args: string[]): Promise<unknown>;
}

/** Calls `test` with the application of `tests/fixtures/`, in an empty directory. */
async function withProgram(
  test: (program: Program) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  await using tree = new ServedTree();
  try {
    const main = `${directory}/main.ts`;
    await Deno.writeTextFile(
      main,
      await textOf("tests/fixtures/url_application.ts", "../../", tree.url),
    );
    await test({
      directory,
      tree,
      run: async (flags, ...args) => {
        const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: ["run", "--quiet", "--no-prompt", ...flags, main, ...args],
          // Where the program stands must not matter.
          cwd: "/",
        }).output();
        const said = new TextDecoder().decode(stdout);
        if (said === "") throw new Error(new TextDecoder().decode(stderr));
        return JSON.parse(said);
      },
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A file of this tree with `name` in place of the way to our root. */
async function textOf(
  path: string,
  root: string,
  name: string,
): Promise<string> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  return text.replaceAll(`"${root}`, `"${name}`);
}

Deno.test("startNode() runs from a URL, with masters and coordinators as workers", () =>
  withProgram(async ({ run, tree, directory }) => {
    const args = ["worker", "worker", tree.url + COUNTER, `${directory}/data`];
    assertEquals(await run(FLAGS_WITH_STORE, ...args), {
      before: null,
      replies: [1],
    });
  }));

Deno.test("startNode() runs from a URL, with masters and coordinators as subprocesses", () =>
  withProgram(async ({ run, tree, directory }) => {
    const flags = [...FLAGS_WITH_STORE, `--allow-run=${Deno.execPath()}`];
    const args = [
      "subprocess",
      "subprocess",
      tree.url + COUNTER,
      `${directory}/data`,
    ];
    assertEquals(await run(flags, ...args), { before: null, replies: [1] });
    assertEquals(await run(flags, ...args), {
      before: { age: 41 },
      replies: [2],
    });
  }));

Deno.test("startNode() resolves names by an application's import map, even if masters are subprocesses", () =>
  withProgram(async ({ run, tree, directory }) => {
    await Deno.writeTextFile(
      `${directory}/deno.json`,
      JSON.stringify({ imports: { "@whorl/": tree.url } }),
    );
    const vnode = `${directory}/counter_vnode.ts`;
    await Deno.writeTextFile(vnode, await textOf(COUNTER, "../../", "@whorl/"));
    const flags = [...FLAGS, `--allow-run=${Deno.execPath()}`];
    const counted = { before: null, replies: [1] };
    assertEquals(
      await run(flags, "subprocess", "task", `file://${vnode}`),
      counted,
    );
    assertEquals(
      await run(FLAGS, "worker", "task", `file://${vnode}`),
      counted,
    );
  }));

for (const masters of ["task", "worker", "subprocess"]) {
  Deno.test(`startNode() tells how to enable Deno KV if a data directory needs it, masters as ${masters}`, () =>
    withProgram(async ({ run, tree, directory }) => {
      const said = await run(
        [...FLAGS, "--allow-write", `--allow-run=${Deno.execPath()}`],
        masters,
        "task",
        tree.url + COUNTER,
        `${directory}/data`,
      ) as { code: string; message: string };
      assertEquals(said.code, "invalid_config");
      assertMatch(
        said.message,
        /pass --unstable-kv to deno, or put "unstable": \["kv"\] into its deno\.json/,
      );
    }));
}
