/**
 * `whorl get`: read one key.
 *
 * @module
 */
import type { KvValue } from "../../src/kv/kv_client.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import type { Output } from "../output.ts";
import { withSession } from "../session_flags.ts";
import { BUCKET_AND_KEY, quorumFlag, quorumOf } from "./kv_values.ts";

/** `whorl get` */
export const getCommand: Command = {
  name: "get",
  summary: "read a key",
  about:
    "Reads from a quorum of replicas through whichever node is asked. JSON is printed as JSON and bytes " +
    "as they are. Writers that did not know of each other leave siblings: each is printed, and a remark " +
    "says how many there are. A key that is not there ends with exit code 1.\n\n" +
    "With --json the answer also holds the causal context; hand it to put or delete to replace exactly " +
    "what was read.",
  positionals: BUCKET_AND_KEY,
  flags: [
    quorumFlag("r", "replicas that must answer", "quorum"),
    quorumFlag("pr", "primaries among them", "0"),
  ],
  talksToNode: true,
  examples: [
    { line: "get users ann --data data/dev1", says: "one key" },
    {
      line: "get users ann --r all --json --data data/dev1",
      says: "every replica has to answer; with the context",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [bucket, key] = invocation.words as [string, string];
    const quorums = {
      r: quorumOf(invocation, "r"),
      pr: quorumOf(invocation, "pr"),
    };
    return await withSession(invocation, world, async (session, call) => {
      const { values, context } = await session.kv.get(bucket, key, {
        ...quorums,
        ...call,
      });
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, { bucket, key, values, context });
      } else if (values.length === 0) {
        output.remark(`Not found: ${bucket}/${key}\n`);
      } else {
        if (values.length > 1) {
          output.remark(
            `${values.length} siblings: concurrent writes nobody has merged\n`,
          );
        }
        for (const value of values) writeValue(output, value);
      }
      return values.length === 0 ? ExitCode.failed : ExitCode.ok;
    });
  },
};

function writeValue(output: Output, value: KvValue): void {
  if (value instanceof Uint8Array) output.writeBytes(value);
  else {
    output.write(
      JSON.stringify(value, null, output.isTerminal ? 2 : undefined) + "\n",
    );
  }
}
