/**
 * The cookie of a node that is started without being given one: a file that is
 * made the first time, with a secret nobody can guess, readable by its owner
 * only. Nodes that are pointed at the same file are of one cluster.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../src/base/errors.ts";
import { readCookieFile } from "./session_flags.ts";

const SECRET_BYTES = 24;

/**
 * The cookie in the file at `path`, which is made if it is not there. When
 * several processes make it at a time, all of them get the same cookie.
 *
 * @throws {WhorlError} `invalid_config` if it can be neither read nor made.
 */
export async function readOrCreateCookie(path: string): Promise<string> {
  const fresh = `${path}.${crypto.randomUUID()}.new`;
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw unusable(path, error);
    try {
      const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
      await Deno.writeTextFile(fresh, `${secret.toHex()}\n`, {
        mode: 0o600,
        createNew: true,
      });
      // Linking fails if the name is taken, so the first one wins and nobody
      // ever reads half a file.
      await Deno.link(fresh, path);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) {
        throw unusable(path, error);
      }
    } finally {
      await Deno.remove(fresh).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
  }
  return await readCookieFile(path);
}

function unusable(path: string, cause: unknown): WhorlError {
  return new WhorlError(
    "invalid_config",
    `Cannot make the cookie file ${path}: ${reasonOf(cause)}`,
    { details: { path }, cause },
  );
}
