/**
 * `whorl cluster resize-ring`: stage another number of partitions.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import {
  resizeFailureText,
  resizeStagedText,
} from "../../src/ring/admin_messages.ts";
import { RING_SIZE_MAX, RING_SIZE_MIN } from "../../src/ring/chash.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl cluster resize-ring` */
export const clusterResizeRingCommand: Command = {
  name: "cluster resize-ring",
  summary: "stage a new number of partitions, or the abort of a resize",
  about: "Stages that the ring gets SIZE partitions. Nothing happens before " +
    '"whorl cluster plan" and "whorl cluster commit". Then the data of all partitions is copied to where it will ' +
    "be, while everything goes on as before; it takes room for the data twice. When all of it is there, the ring " +
    "changes at once, and what is left of the old one follows and is removed.\n\n" +
    'Until the ring has changed, "abort" stages that the resize is given up: the ring stays as it is. No other ' +
    "change can be made meanwhile, and none may be staged before. All members must be up for it to end.",
  positionals: [{
    name: "SIZE|abort",
    says: `a power of two from ${RING_SIZE_MIN} to ${RING_SIZE_MAX}`,
  }],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "cluster resize-ring 128 --data data/dev1",
      says: "twice as many partitions as there are by default",
    },
    { line: "cluster plan --data data/dev1", says: "who would own how many" },
    { line: "cluster commit --data data/dev1", says: "do it" },
    { line: "ring-status --data data/dev1", says: "its progress" },
    {
      line: "cluster resize-ring abort --data data/dev1",
      says: "abort it; plan and commit that as well",
    },
  ],
  run(invocation, world) {
    const size = sizeOf(invocation.words[0] as string);
    return withSession(invocation, world, async (session, options) => {
      try {
        const result = size === null
          ? await session.call("cluster_abort_resize", {}, options)
          : await session.call(
            "cluster_resize_ring",
            { ringSize: size },
            options,
          );
        if (invocation.on("json")) writeJson(world.output, result);
        else world.output.write(resizeStagedText(result.stagedSize));
        return ExitCode.ok;
      } catch (error) {
        if (!isWhorlError(error) || invocation.on("json")) throw error;
        const text = resizeFailureText(error.code);
        if (text === null) throw error;
        world.output.remark(text);
        return ExitCode.failed;
      }
    });
  },
};

/** The size that is wanted, or `null` to give a resize up. */
function sizeOf(word: string): number | null {
  if (word === "abort") return null;
  if (/^\d{1,9}$/.test(word)) return Number(word);
  throw new UsageError(
    `A ring size is a power of two from ${RING_SIZE_MIN} to ${RING_SIZE_MAX}, or "abort": not ${
      JSON.stringify(word)
    }`,
  );
}
