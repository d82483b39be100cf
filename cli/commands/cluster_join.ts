/**
 * `whorl cluster join`: stage this node to join another one's cluster.
 *
 * @module
 */
import { type ErrorCode, isWhorlError } from "../../src/base/errors.ts";
import {
  joinFailureText,
  joinText,
  stagedJoinText,
} from "../../src/ring/admin_messages.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { parseNodeTarget, withSession } from "../session_flags.ts";

/** Failures the originals have a line for; others are told as they are. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "not_reachable",
  "different_ring_sizes",
  "unable_to_get_join_ring",
  "not_single_node",
  "self_join",
  "node_still_starting",
]);

/** `whorl cluster join` */
export const clusterJoinCommand: Command = {
  name: "cluster join",
  summary: "stage a node to join another node's cluster",
  about:
    "Tells the node you talk to (--data or --node) to join the cluster NODE belongs to. Nothing moves yet: " +
    "joins are staged, so that several can be planned and carried out together. Look at what would happen " +
    'with "whorl cluster plan", then do it with "whorl cluster commit".\n\n' +
    "The joining node must be alone in its ring and have the same ring size, cluster name and cookie. With " +
    "--now it becomes a member at once, and partitions begin to move to it.",
  positionals: [{
    name: "NODE",
    says:
      "any member, as NAME@HOST:PORT; NAME@HOST if the node knows where it is",
  }],
  flags: [{ name: "now", says: "join at once, without plan and commit" }],
  talksToNode: true,
  examples: [
    {
      line: "cluster join dev1@127.0.0.1:10101 --data data/dev2",
      says: "dev2 asks to join dev1's cluster",
    },
    {
      line: "cluster plan --data data/dev1",
      says: "what the staged joins would do",
    },
    { line: "cluster commit --data data/dev1", says: "do it" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const word = invocation.words[0]!;
      const target = /:\d+$/.test(word)
        ? parseNodeTarget(word)
        : { node: word };
      try {
        const args = invocation.on("now")
          ? { ...target, staged: false }
          : target;
        const result = await session.call("cluster_join", args, options);
        if (invocation.on("json")) writeJson(world.output, result);
        else {
          world.output.write(
            invocation.on("now")
              ? joinText(result.joined)
              : stagedJoinText(result.node, result.joined),
          );
        }
        return ExitCode.ok;
      } catch (error) {
        if (
          !isWhorlError(error) || !REFUSALS.has(error.code) ||
          invocation.on("json")
        ) throw error;
        world.output.remark(
          joinFailureText(error.code, target.node) + `${error.message}\n`,
        );
        return ExitCode.failed;
      }
    }),
};
