/**
 * What `get`, `put` and `delete` share: flags for quorums and context, and how
 * values are read from and shown on a command line.
 *
 * @module
 */
import { reasonOf } from "../../src/base/errors.ts";
import type { KvPutOptions, KvValue } from "../../src/kv/kv_client.ts";
import type { QuorumSize } from "../../src/request/quorum_options.ts";
import { type Flag, type Invocation, UsageError } from "../command.ts";

/** The flag that carries a causal context. */
export const CONTEXT_FLAG: Flag = {
  name: "context",
  value: "CONTEXT",
  says: "what this replaces, as 'whorl get --json' printed it",
  default: "what a read finds now",
};

/** The two things every operation names. */
export const BUCKET_AND_KEY = [
  { name: "BUCKET", says: "the namespace the key lives in" },
  { name: "KEY", says: "the key, as text" },
];

/** A quorum flag. */
export function quorumFlag(name: string, says: string, usual: string): Flag {
  return { name, value: "N", says, default: usual };
}

/** A quorum as given: a count or one of three words. @throws {UsageError} */
export function quorumOf(
  invocation: Invocation,
  flag: string,
): QuorumSize | undefined {
  const text = invocation.text(flag);
  if (text === undefined) return undefined;
  if (text === "one" || text === "quorum" || text === "all") return text;
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new UsageError(
    `--${flag} must be a number, one, quorum or all: it is ${
      JSON.stringify(text)
    }`,
  );
}

/** The quorums of a write or a delete. @throws {UsageError} */
export function writeQuorumsOf(
  invocation: Invocation,
): Pick<KvPutOptions, "w" | "pw" | "dw"> {
  return {
    w: quorumOf(invocation, "w"),
    pw: quorumOf(invocation, "pw"),
    dw: quorumOf(invocation, "dw"),
  };
}

/** A JSON value as typed. @throws {UsageError} With a hint how to quote. */
export function jsonValueOf(text: string): KvValue {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `VALUE is not JSON: ${reasonOf(error)}. For plain text add --text,` +
        ` or quote it twice: '${JSON.stringify(text.slice(0, 40))}'`,
    );
  }
}
