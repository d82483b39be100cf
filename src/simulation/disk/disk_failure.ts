/**
 * What a real disk says when something is wrong: the words of Deno 2.9, of the
 * system below it, and of SQLite. Production code tells failures apart by these
 * words, so a simulated disk has to use the same ones.
 *
 * @module
 */

/** Name, number and words of a failure, as Linux has them. */
const FAILURES = {
  ENOENT: ["NotFound", 2, "No such file or directory"],
  EIO: ["Error", 5, "Input/output error"],
  EEXIST: ["AlreadyExists", 17, "File exists"],
  ENOTDIR: ["NotADirectory", 20, "Not a directory"],
  EISDIR: ["IsADirectory", 21, "Is a directory"],
  ENOSPC: ["Error", 28, "No space left on device"],
  ENOTEMPTY: ["Error", 39, "Directory not empty"],
} as const;

/** The code of a failure of the file system. */
export type FailureCode = keyof typeof FAILURES;

/** What a call on files fails with. @param call The call and its path, where Deno tells them, as in `open '/a'`. */
export function fileError(code: FailureCode, call?: string): Error {
  const [name, number, words] = FAILURES[code];
  const where = call === undefined ? "" : `: ${call}`;
  const error = new Error(`${words} (os error ${number})${where}`);
  return Object.assign(error, { name, code });
}

/** What every call on something that was closed fails with. */
export function closedResourceError(): Error {
  return Object.assign(new Error("Bad resource ID"), { name: "BadResource" });
}

/** What SQLite says. */
export const databaseWords = {
  full: "database or disk is full",
  failed: "disk I/O error",
  notOne: "file is not a database",
  cannotOpen: (path: string): string => `unable to open database file: ${path}`,
} as const;
