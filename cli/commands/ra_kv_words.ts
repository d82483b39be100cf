/**
 * What the commands of `ra_kv` share: their words and flags, and the times they
 * wait.
 *
 * @module
 */
import type { RaKvOptions } from "../../src/ra_kv/ra_kv_client.ts";
import {
  type Flag,
  type Invocation,
  type Positional,
  UsageError,
} from "../command.ts";

/** The cluster that a command is about. */
export const CLUSTER_WORD: Positional = {
  name: "CLUSTER",
  says: "name of the cluster",
};

/** The node that a command is about. */
export const NODE_WORD: Positional = {
  name: "NODE",
  says: "name of a node, as member-status shows it",
};

/** The key that a command is about. */
export const KEY_WORD: Positional = { name: "KEY", says: "the key, as text" };

/** Which member is to do it. */
export const ON_FLAG: Flag = {
  name: "on",
  value: "NODE",
  says: "only the member on this node",
  default: "each member",
};

/** The index a key must have. */
export const IF_INDEX_FLAG: Flag = {
  name: "if-index",
  value: "INDEX",
  says: "only if the key has this index; 0 if it must not be there",
};

/** The time that was asked for, if any was; calls have times of their own. */
export function waitOf(
  invocation: Invocation,
  { timeoutMs }: { readonly timeoutMs: number },
): RaKvOptions {
  return invocation.text("timeout") === undefined ? {} : { timeoutMs };
}

/** An index as typed. @throws {UsageError} */
export function indexOf(name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(
    `${name} must be a whole number: it is ${JSON.stringify(text)}`,
  );
}
