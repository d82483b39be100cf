/**
 * What `get`, `put` and `delete` share: flags for quorums and context, and how
 * values are read from and shown on a command line.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../src/base/errors.ts";
import type { KvPutOptions, KvValue } from "../../src/kv/kv_client.ts";
import type { QuorumSize } from "../../src/request/quorum_options.ts";
import {
  type Flag,
  type Invocation,
  type Positional,
  UsageError,
} from "../command.ts";
import type { World } from "../world.ts";

/** Largest value taken from a file or from standard input: what a node stores at most. */
const VALUE_BYTES_MAX = 8 * 1024 * 1024;

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

/** The word and the flags that give a value. */
export const VALUE_WORD: Positional = {
  name: "VALUE",
  says: 'the value as JSON, or "-"',
  optional: true,
};

/** The flags that go with {@linkcode VALUE_WORD}. */
export const VALUE_FLAGS: readonly Flag[] = [
  { name: "text", says: "VALUE is text, not JSON" },
  { name: "file", value: "FILE", says: "store the bytes of this file" },
];

/** The value that a command line gives by a word or a file. @throws {UsageError} If it gives none, or two. */
export async function valueArgument(
  invocation: Invocation,
  world: World,
  place: number,
): Promise<KvValue> {
  const word = invocation.words[place];
  const file = invocation.text("file");
  if ((word === undefined) === (file === undefined)) {
    throw new UsageError(
      word === undefined
        ? "VALUE is missing: the value as JSON, or --file"
        : "VALUE and --file both give a value: give one",
    );
  }
  if (file !== undefined) return await bytesOfFile(file);
  const text = word === "-"
    ? new TextDecoder().decode(await collect(world.input.bytes(), "-"))
    : word!;
  return invocation.on("text") ? text : jsonValueOf(text);
}

async function bytesOfFile(path: string): Promise<Uint8Array> {
  let file;
  try {
    file = await Deno.open(path);
  } catch (error) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot read ${path}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
  return await collect(file.readable, path);
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  name: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let total = 0;
  for await (const chunk of stream) {
    total += chunk.length;
    if (total > VALUE_BYTES_MAX) {
      throw new WhorlError(
        "value_too_large",
        `Cannot store ${name} as a value must be at most ${VALUE_BYTES_MAX} bytes: it is longer`,
      );
    }
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
