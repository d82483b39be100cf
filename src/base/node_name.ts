/**
 * Valid names of nodes. Names are sent, sorted, displayed, typed and used in
 * file paths, so they are short and plain and never form a path themselves.
 *
 * @module
 */
import { WhorlError } from "./errors.ts";

/** A name a node may have: `name@host`, never a path. */
const nodeName = /^[a-z0-9][a-z0-9_.-]{0,62}@[a-z0-9][a-z0-9.-]{0,252}$/;

/** @throws {WhorlError} `invalid_name` unless `name` may be the name of a node. */
export function checkNodeName(name: string): void {
  if (!nodeName.test(name) || name.includes("..")) {
    throw new WhorlError(
      "invalid_name",
      `Cannot name a node as a name must be name@host of lowercase letters, digits, "_", "." and "-": current value is ${
        JSON.stringify(name.slice(0, 100))
      }`,
    );
  }
}
