/**
 * The directory `--data` names, as the command line lays it out: the node's own
 * data directory stands inside, and around it what its parent and the commands
 * need. The node's data stay a folder that nobody but the node writes to, which
 * is what lets it refuse a folder it does not know.
 *
 *     node/            the node: identity, ring, stores
 *     cookie           the cluster's secret, unless it is kept elsewhere
 *     control.json     where the running node listens
 *     whorl.pid        the node's parent, locked as long as it lives
 *     node.log         log of a detached node; node.log.1 before it
 *     prompt_history   lines typed at a prompt
 *
 * @module
 */
import { reasonOf, WhorlError } from "../src/base/errors.ts";
import { CONTROL_FILE_NAME } from "../src/node/control_file.ts";

/** Name of the node's own data directory. */
export const NODE_FOLDER_NAME = "node";
/** Name of the file with the cookie. */
export const COOKIE_FILE_NAME = "cookie";
/** Name of the file of the node's parent. */
export const PID_FILE_NAME = "whorl.pid";
/** Name of a detached node's log. */
export const LOG_FILE_NAME = "node.log";
/** Name of the file with what was typed at prompts. */
export const HISTORY_FILE_NAME = "prompt_history";

const OWN_NAMES: ReadonlySet<string> = new Set([
  NODE_FOLDER_NAME,
  COOKIE_FILE_NAME,
  PID_FILE_NAME,
  LOG_FILE_NAME,
  `${LOG_FILE_NAME}.1`,
  HISTORY_FILE_NAME,
  CONTROL_FILE_NAME,
]);

/**
 * Makes the directory if it is not there, readable by its owner only.
 *
 * @throws {WhorlError} `store_foreign` if it holds other things and nothing of
 * ours; `store_unavailable` if it can be neither read nor made.
 */
export async function makeNodeDirectory(directory: string): Promise<void> {
  const names: string[] = [];
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    for await (const { name } of Deno.readDir(directory)) names.push(name);
  } catch (error) {
    throw new WhorlError(
      "store_unavailable",
      `Cannot use ${directory} for a node's data: ${reasonOf(error)}`,
      { details: { path: directory }, cause: error },
    );
  }
  if (names.length > 0 && !names.some((name) => OWN_NAMES.has(name))) {
    throw new WhorlError(
      "store_foreign",
      `Cannot use ${directory} for a node's data as it must be empty or belong to a node: it holds ${
        names[0]
      }`,
      { details: { path: directory, stranger: names[0] } },
    );
  }
}
