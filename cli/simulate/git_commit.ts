/**
 * Which commit the code that runs belongs to, read from its git directory, so
 * that no program has to be started for it.
 *
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Characters of a commit that are shown. */
const COMMIT_LENGTH = 12;

/** The commit of the work tree that `module` is in; undefined if it is in none. @param module A URL. */
export async function gitCommit(module: string): Promise<string | undefined> {
  if (!module.startsWith("file:")) return undefined;
  let folder = dirname(fileURLToPath(module));
  for (;;) {
    const git = await gitDirectory(folder);
    if (git !== undefined) return (await headOf(git))?.slice(0, COMMIT_LENGTH);
    const above = dirname(folder);
    if (above === folder) return undefined;
    folder = above;
  }
}

/** `.git` of `folder`: a directory, or for a second work tree a file that names one. */
async function gitDirectory(folder: string): Promise<string | undefined> {
  const path = join(folder, ".git");
  const link = await textOf(path);
  const named = link === undefined ? undefined : /^gitdir: (.+)$/m.exec(link);
  if (named?.[1] !== undefined) return resolve(folder, named[1]);
  return await textOf(join(path, "HEAD")) === undefined ? undefined : path;
}

async function headOf(git: string): Promise<string | undefined> {
  const head = await textOf(join(git, "HEAD"));
  const name = head === undefined ? undefined : /^ref: (.+)$/m.exec(head)?.[1];
  if (name === undefined) return head?.trim();
  // Branches of a second work tree are in the first one's directory.
  const common = (await textOf(join(git, "commondir")))?.trim();
  const root = common === undefined ? git : resolve(git, common);
  const own = await textOf(join(root, name));
  if (own !== undefined) return own.trim();
  const packed = await textOf(join(root, "packed-refs"));
  return packed?.split("\n").find((line) => line.endsWith(` ${name}`))
    ?.split(" ")[0];
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const isElsewhere = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.IsADirectory ||
      error instanceof Deno.errors.NotADirectory ||
      // A report without a commit is better than none.
      error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotCapable;
    if (isElsewhere) return undefined;
    throw error;
  }
}
