/**
 * What a real disk reports when something fails, in the words of Deno 2.9,
 * Linux, and SQLite. Production code distinguishes failures by these words, so
 * a simulated disk must use the same ones.
 *
 * @module
 */

/** Name, number and text of each failure, as in Linux. */
const FAILURES = {
  ENOENT: ["NotFound", 2, "No such file or directory"],
  EIO: ["Error", 5, "Input/output error"],
  EEXIST: ["AlreadyExists", 17, "File exists"],
  ENOTDIR: ["NotADirectory", 20, "Not a directory"],
  EISDIR: ["IsADirectory", 21, "Is a directory"],
  ENOSPC: ["Error", 28, "No space left on device"],
  ENOTEMPTY: ["Error", 39, "Directory not empty"],
} as const;

/** The code of a file system failure. */
export type FailureCode = keyof typeof FAILURES;

/**
 * The error of a failed call on files.
 *
 * @param call The call and its path, if Deno includes them, as in `open '/a'`.
 */
export function fileError(code: FailureCode, call?: string): Error {
  const [name, number, words] = FAILURES[code];
  const where = call === undefined ? "" : `: ${call}`;
  const error = new Error(`${words} (os error ${number})${where}`);
  return Object.assign(error, { name, code });
}

/** The error of every call on a closed resource. */
export function closedResourceError(): Error {
  return Object.assign(new Error("Bad resource ID"), { name: "BadResource" });
}

/** The messages of SQLite. */
export const databaseWords = {
  full: "database or disk is full",
  failed: "disk I/O error",
  notOne: "file is not a database",
  cannotOpen: (path: string): string => `unable to open database file: ${path}`,
} as const;
