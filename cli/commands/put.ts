/**
 * `whorl put`: write one key.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../src/base/errors.ts";
import type { KvValue } from "../../src/kv/kv_client.ts";
import { type Command, type Invocation, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import type { World } from "../world.ts";
import {
  BUCKET_AND_KEY,
  CONTEXT_FLAG,
  jsonValueOf,
  quorumFlag,
  writeQuorumsOf,
} from "./kv_values.ts";

/** Largest value taken from a file or from standard input: what a node stores at most. */
const VALUE_BYTES_MAX = 8 * 1024 * 1024;

/** `whorl put` */
export const putCommand: Command = {
  name: "put",
  summary: "write a key",
  about:
    "Writes to a quorum of replicas. VALUE is JSON; --text takes it as a string, --file stores a file's " +
    'bytes, and "-" reads JSON from standard input.\n\n' +
    "What is there is read first and replaced. With --context the write replaces exactly what that read " +
    "returned; with --blind it replaces nothing and stands beside what is there, as a sibling.",
  positionals: [
    ...BUCKET_AND_KEY,
    { name: "VALUE", says: 'the value as JSON, or "-"', optional: true },
  ],
  flags: [
    { name: "text", says: "VALUE is text, not JSON" },
    { name: "file", value: "FILE", says: "store the bytes of this file" },
    CONTEXT_FLAG,
    { name: "blind", says: "do not read first; may leave a sibling" },
    quorumFlag("w", "replicas that must have stored it", "quorum"),
    quorumFlag("pw", "primaries among them", "0"),
    quorumFlag("dw", "replicas that must have it on disk", "quorum"),
  ],
  talksToNode: true,
  examples: [
    {
      line: `put users ann '{"age":41}' --data data/dev1`,
      says: "a JSON object",
    },
    {
      line: "put notes today --text 'buy milk' --data data/dev1",
      says: "a piece of text",
    },
    {
      line: "put photos ann.png --file ann.png --w all --data data/dev1",
      says: "a file, stored by all three replicas before the answer",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [bucket, key] = invocation.words as [string, string];
    const value = await valueOf(invocation, world);
    const quorums = writeQuorumsOf(invocation);
    const given = invocation.text("context");
    if (given !== undefined && invocation.on("blind")) {
      throw new UsageError("--blind replaces nothing: --context cannot apply");
    }
    return await withSession(invocation, world, async (session, call) => {
      const context = given ??
        (invocation.on("blind")
          ? undefined
          : (await session.kv.get(bucket, key, call)).context ?? undefined);
      const result = await session.kv.put(bucket, key, value, {
        context,
        ...quorums,
        ...call,
      });
      if (invocation.on("json")) {
        writeJson(world.output, {
          bucket,
          key,
          context: result.context,
        });
      } else {
        world.output.write("ok\n");
      }
      return ExitCode.ok;
    });
  },
};

async function valueOf(
  invocation: Invocation,
  world: World,
): Promise<KvValue> {
  const word = invocation.words[2];
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
