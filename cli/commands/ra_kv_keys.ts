/**
 * `whorl ra_kv put`, `get`, `delete`, `cas` and `entry`: keys of a cluster, and
 * the entries that hold them.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import type { RaKvFound, RaKvWritten } from "../../src/ra_kv/ra_kv_client.ts";
import type { RaKvValue } from "../../src/ra_kv/ra_kv_value.ts";
import type { Command } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import type { Output } from "../output.ts";
import { withSession } from "../session_flags.ts";
import { VALUE_FLAGS, VALUE_WORD, valueArgument } from "./kv_values.ts";
import {
  CLUSTER_WORD,
  IF_INDEX_FLAG,
  indexOf,
  KEY_WORD,
  waitOf,
} from "./ra_kv_words.ts";

/** `whorl ra_kv put` */
export const raKvPutCommand: Command = {
  name: "ra_kv put",
  summary: "write a key of a cluster",
  about:
    "Writes a key once a majority of the cluster's members has it on disk. VALUE is JSON; --text takes it " +
    'as a string, --file stores a file\'s bytes, and "-" reads JSON from standard input. The answer is the ' +
    "index of the entry, which is what --if-index compares.",
  positionals: [CLUSTER_WORD, KEY_WORD, VALUE_WORD],
  flags: [
    ...VALUE_FLAGS,
    IF_INDEX_FLAG,
    {
      name: "ttl",
      value: "TIME",
      says: "the key is gone after this: 10, 1.5s, 500ms, 2m",
    },
  ],
  talksToNode: true,
  examples: [
    {
      line: `ra_kv put orders 17 '{"paid":false}' --data data/dev1`,
      says: "a JSON object",
    },
    {
      line: "ra_kv put locks leader --text me --if-index 0 --ttl 30s",
      says: "only if nobody has it, and for half a minute",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, key] = invocation.words as [string, string];
    const ttl = invocation.text("ttl");
    const options = {
      ifIndex: invocation.count("if-index"),
      ttlMs: ttl === undefined
        ? undefined
        : Math.ceil(parseDuration("ttl", ttl)),
    };
    const value = await valueArgument(invocation, world, 2);
    return await withSession(invocation, world, async (session, call) => {
      const written = await session.raKv.put(cluster, key, value, {
        ...options,
        ...waitOf(invocation, call),
      });
      writeWritten(world.output, written, invocation.on("json"));
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv cas` */
export const raKvCasCommand: Command = {
  name: "ra_kv cas",
  summary: "write a key of a cluster if it has not changed",
  about:
    "Compare and set: writes a key if its index still is the one that was read, and else ends with exit " +
    "code 1 and says what index it has. 0 stands for a key that is not there.",
  positionals: [
    CLUSTER_WORD,
    KEY_WORD,
    { name: "INDEX", says: "the index the key must have; 0 for none" },
    VALUE_WORD,
  ],
  flags: VALUE_FLAGS,
  talksToNode: true,
  examples: [
    {
      line: `ra_kv cas orders 17 42 '{"paid":true}' --data data/dev1`,
      says: "if nobody has written it since",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, key, word] = invocation.words as [string, string, string];
    const index = indexOf("INDEX", word);
    const value = await valueArgument(invocation, world, 3);
    return await withSession(invocation, world, async (session, call) => {
      const written = await session.raKv.compareAndSet(
        cluster,
        key,
        index,
        value,
        waitOf(invocation, call),
      );
      writeWritten(world.output, written, invocation.on("json"));
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv get` */
export const raKvGetCommand: Command = {
  name: "ra_kv get",
  summary: "read a key of a cluster",
  about:
    "Reads what was written last, as a majority of the members confirms. JSON is printed as JSON and bytes " +
    "as they are. A key that is not there ends with exit code 1. With --json the answer also holds the " +
    "index, which is what cas and --if-index compare.",
  positionals: [CLUSTER_WORD, KEY_WORD],
  flags: [
    {
      name: "local",
      says: "from the member on the node that is asked, once it has caught up",
    },
    { name: "stale", says: "ask nobody: may be old, and needs no majority" },
  ],
  talksToNode: true,
  examples: [
    { line: "ra_kv get orders 17 --data data/dev1", says: "one key" },
    {
      line: "ra_kv get orders 17 --stale --data data/dev1",
      says: "what this node has, though the others are down",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, key] = invocation.words as [string, string];
    return await withSession(invocation, world, async (session, call) => {
      const found = await session.raKv.get(cluster, key, {
        from: invocation.on("local") ? "local" : "leader",
        consistency: invocation.on("stale") ? "stale" : "linearizable",
        ...waitOf(invocation, call),
      });
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, { cluster, key, ...jsonOf(found) });
      } else if (found.value === undefined) {
        output.remark(`Not found: ${cluster}/${key}\n`);
      } else writeValue(output, found.value);
      return found.value === undefined ? ExitCode.failed : ExitCode.ok;
    });
  },
};

/** `whorl ra_kv delete` */
export const raKvDeleteCommand: Command = {
  name: "ra_kv delete",
  summary: "remove a key of a cluster",
  about:
    "Deletes a key once a majority of the members has agreed. Ends with exit code 1 if it is not there.",
  positionals: [CLUSTER_WORD, KEY_WORD],
  flags: [IF_INDEX_FLAG],
  talksToNode: true,
  examples: [
    { line: "ra_kv delete orders 17 --data data/dev1", says: "one key" },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, key] = invocation.words as [string, string];
    const ifIndex = invocation.count("if-index");
    return await withSession(invocation, world, async (session, call) => {
      const { output } = world;
      try {
        const written = await session.raKv.delete(cluster, key, {
          ifIndex,
          ...waitOf(invocation, call),
        });
        writeWritten(output, written, invocation.on("json"));
        return ExitCode.ok;
      } catch (error) {
        if (!isWhorlError(error, "not_found") || invocation.on("json")) {
          throw error;
        }
        output.remark(`Not found: ${cluster}/${key}\n`);
        return ExitCode.failed;
      }
    });
  },
};

/** `whorl ra_kv entry` */
export const raKvEntryCommand: Command = {
  name: "ra_kv entry",
  summary: "show an entry of a cluster's log",
  about:
    "The entry at an index, in the log of the member on the node that is asked, or of any other: what it " +
    "was to change, and when. Ends with exit code 1 if it is not there: not agreed upon yet, or let go.",
  positionals: [CLUSTER_WORD, {
    name: "INDEX",
    says: "place of the entry in the log, from 1",
  }],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "ra_kv entry orders 42 --data data/dev1", says: "one entry" },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, word] = invocation.words as [string, string];
    const index = indexOf("INDEX", word);
    return await withSession(invocation, world, async (session, call) => {
      const entry = await session.raKv.readEntry(
        cluster,
        index,
        waitOf(invocation, call),
      );
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, { cluster, entry: entry ?? null });
      } else if (entry === undefined) {
        output.remark(`Not found: entry ${index} of ${cluster}\n`);
      } else {
        const { term, timeMs, kind, changes } = entry;
        const time = new Date(timeMs).toISOString();
        output.write(`${index} in term ${term} at ${time}: ${kind}\n`);
        for (const change of changes) {
          output.write(
            change.type === "put"
              ? `put ${change.key} ${shortText(change.value)}\n`
              : `delete ${change.key}\n`,
          );
        }
      }
      return entry === undefined ? ExitCode.failed : ExitCode.ok;
    });
  },
};

function writeWritten(
  output: Output,
  written: RaKvWritten,
  json: boolean,
): void {
  if (json) writeJson(output, written);
  else output.write(`ok, index ${written.index}\n`);
}

function jsonOf(found: RaKvFound): Record<string, unknown> {
  const { value, expiresAtMs, leader, ...rest } = found;
  return {
    ...rest,
    found: value !== undefined,
    value: value ?? null,
    expiresAtMs: expiresAtMs ?? null,
    leader: leader ?? null,
  };
}

/** A value on a line of its own. */
export function writeValue(output: Output, value: RaKvValue): void {
  if (value instanceof Uint8Array) return output.writeBytes(value);
  const indent = output.isTerminal ? 2 : undefined;
  output.write(`${JSON.stringify(value, plainBytes, indent)}\n`);
}

const SHORT_TEXT_LENGTH_MAX = 200;

/** A value in a few words. */
export function shortText(value: RaKvValue): string {
  if (value instanceof Uint8Array) return `(${value.length} bytes)`;
  const text = JSON.stringify(value, plainBytes);
  return text.length <= SHORT_TEXT_LENGTH_MAX
    ? text
    : `${text.slice(0, SHORT_TEXT_LENGTH_MAX - 1)}…`;
}

function plainBytes(_name: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { base64: value.toBase64() } : value;
}
