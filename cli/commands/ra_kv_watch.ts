/**
 * `whorl ra_kv watch`: what happens to keys of a cluster.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import type { RaKvEvent } from "../../src/ra_kv/ra_kv_client.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import type { Output } from "../output.ts";
import { withSession } from "../session_flags.ts";
import { shortText } from "./ra_kv_keys.ts";
import { CLUSTER_WORD } from "./ra_kv_words.ts";

/** `whorl ra_kv watch` */
export const raKvWatchCommand: Command = {
  name: "ra_kv watch",
  summary: "print what happens to keys of a cluster, until Ctrl-C",
  about:
    "A line for each put, delete and expiry of a key, or of all keys that begin with --prefix, in the order " +
    "in which the cluster agreed to them, from now on or after an index. It says when something was missed, " +
    "which can be after a long absence. With --json each line is a document.",
  positionals: [CLUSTER_WORD, {
    name: "KEY",
    says: "the key; else --prefix",
    optional: true,
  }],
  flags: [
    {
      name: "prefix",
      value: "TEXT",
      says: "all keys that begin with this; --prefix= for all",
    },
    {
      name: "after",
      value: "INDEX",
      says: "begin with what came after this index",
      default: "now",
    },
    { name: "count", value: "N", says: "end after so many events" },
    { name: "keys-only", says: "without values" },
  ],
  talksToNode: true,
  examples: [
    { line: "ra_kv watch orders 17 --data data/dev1", says: "one key" },
    {
      line: "ra_kv watch orders --prefix= --after 0 --count 10",
      says: "the first ten changes that are still known",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, key] = invocation.words as [string, string?];
    const prefix = invocation.text("prefix");
    if ((key === undefined) === (prefix === undefined)) {
      throw new UsageError("Give either KEY or --prefix");
    }
    const after = invocation.count("after");
    const count = invocation.count("count", { min: 1 }) ?? Infinity;
    const values = !invocation.on("keys-only");
    return await withSession(invocation, world, async (session) => {
      const stopping = new AbortController();
      using _ = world.onStopSignal(() => stopping.abort());
      const what = key === undefined ? { prefix: prefix as string } : { key };
      const events = session.raKv.watch(cluster, {
        ...what,
        after,
        values,
        signal: stopping.signal,
      });
      let seen = 0;
      try {
        for await (const event of events) {
          if (event.type === "watching") continue;
          writeEvent(world.output, event, invocation.on("json"));
          if (++seen >= count) break;
        }
      } catch (error) {
        if (!stopping.signal.aborted || !isWhorlError(error, "cancelled")) {
          throw error;
        }
      }
      return ExitCode.ok;
    });
  },
};

function writeEvent(output: Output, event: RaKvEvent, json: boolean): void {
  if (json) return writeJson(output, event);
  switch (event.type) {
    case "put":
      return output.write(
        `${event.index} put ${event.key}${
          event.value === undefined ? "" : ` ${shortText(event.value)}`
        }\n`,
      );
    case "delete":
    case "expire":
      return output.write(`${event.index} ${event.type} ${event.key}\n`);
    case "missed":
      return output.write(`${event.index} missed what came before\n`);
    case "watching":
      return;
    default:
      return event satisfies never;
  }
}
