import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gitCommit } from "./git_commit.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** The commit of a module in a work tree with these files. */
async function commitWith(
  files: Record<string, string>,
): Promise<string | undefined> {
  const root = await Deno.makeTempDir({ prefix: "whorl-git-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      const path = join(root, name);
      await Deno.mkdir(join(path, ".."), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    return await gitCommit(
      pathToFileURL(join(root, "tree/deep/module.ts")).href,
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("gitCommit() follows a branch, loose or packed, and takes a detached head as it is", async () => {
  const short = COMMIT.slice(0, 12);
  const branch = "ref: refs/heads/main\n";
  assertEquals(
    await commitWith({
      "tree/.git/HEAD": branch,
      "tree/.git/refs/heads/main": `${COMMIT}\n`,
    }),
    short,
  );
  assertEquals(
    await commitWith({
      "tree/.git/HEAD": branch,
      "tree/.git/packed-refs": `# pack\n${COMMIT} refs/heads/main\n`,
    }),
    short,
  );
  assertEquals(await commitWith({ "tree/.git/HEAD": `${COMMIT}\n` }), short);
});

Deno.test("gitCommit() finds the branch of a second work tree in the first one's directory", async () => {
  assertEquals(
    await commitWith({
      "tree/.git": "gitdir: ../first/.git/worktrees/second\n",
      "first/.git/worktrees/second/HEAD": "ref: refs/heads/topic\n",
      "first/.git/worktrees/second/commondir": "../..\n",
      "first/.git/refs/heads/topic": `${COMMIT}\n`,
    }),
    COMMIT.slice(0, 12),
  );
});

Deno.test("gitCommit() knows none for a branch without commits or a module from elsewhere", async () => {
  assertEquals(
    await commitWith({ "tree/.git/HEAD": "ref: refs/heads/none\n" }),
    undefined,
  );
  assertEquals(
    await gitCommit("https://jsr.io/@whorl/whorl/mod.ts"),
    undefined,
  );
});
