/**
 * `whorl delete`: remove one key.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import {
  BUCKET_AND_KEY,
  CONTEXT_FLAG,
  quorumFlag,
  writeQuorumsOf,
} from "./kv_values.ts";

/** `whorl delete` */
export const deleteCommand: Command = {
  name: "delete",
  summary: "remove a key",
  about:
    "Deletes what a read finds, or with --context exactly what that read returned: a write that came " +
    "later survives. Ends with exit code 1 if the key was not there.",
  positionals: BUCKET_AND_KEY,
  flags: [
    CONTEXT_FLAG,
    quorumFlag("w", "replicas that must have stored the deletion", "quorum"),
    quorumFlag("pw", "primaries among them", "0"),
    quorumFlag("dw", "replicas that must have it on disk", "quorum"),
  ],
  talksToNode: true,
  examples: [{ line: "delete users ann --data data/dev1", says: "one key" }],
  async run(invocation, world): Promise<number> {
    const [bucket, key] = invocation.words as [string, string];
    const { output } = world;
    const quorums = writeQuorumsOf(invocation);
    let context = invocation.text("context");
    return await withSession(invocation, world, async (session, call) => {
      if (context === undefined) {
        const found = await session.kv.get(bucket, key, call);
        if (found.values.length === 0) {
          if (invocation.on("json")) {
            writeJson(output, { bucket, key, deleted: false, context: null });
          } else {
            output.remark(`Not found: ${bucket}/${key}\n`);
          }
          return ExitCode.failed;
        }
        context = found.context ?? undefined;
      }
      const result = await session.kv.delete(bucket, key, {
        context,
        ...quorums,
        ...call,
      });
      if (invocation.on("json")) {
        writeJson(output, {
          bucket,
          key,
          deleted: true,
          context: result.context,
        });
      } else {
        output.write("ok\n");
      }
      return ExitCode.ok;
    });
  },
};
