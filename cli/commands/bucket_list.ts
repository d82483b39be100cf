/**
 * `whorl bucket list`: which buckets are served by consensus.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl bucket list` */
export const bucketListCommand: Command = {
  name: "bucket list",
  summary: "show the consistent buckets",
  about:
    "A line for each bucket that is served by consensus; all others are served as preference lists are. Says so " +
    "if their Raft groups are not all there yet.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{
    line: "bucket list --data data/dev1",
    says: "the buckets that were marked",
  }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const result = await session.call("bucket_list", {}, options);
      const { buckets, formed } = result;
      if (invocation.on("json")) writeJson(world.output, result);
      else {
        for (const bucket of buckets) world.output.write(`${bucket}\n`);
        if (buckets.length === 0) {
          world.output.remark("No bucket is consistent\n");
        } else if (!formed) {
          world.output.remark("Their Raft groups are not all there yet\n");
        }
      }
      return ExitCode.ok;
    }),
};
