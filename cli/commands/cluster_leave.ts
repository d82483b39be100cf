/**
 * `whorl cluster leave`: stage a member to leave.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { stageChange } from "./stage_change.ts";

/** `whorl cluster leave` */
export const clusterLeaveCommand: Command = {
  name: "cluster leave",
  summary: "stage a member to hand over its data and leave",
  about:
    "Stages that NODE, or the node you talk to, hands over all it owns to the others and leaves. Nothing " +
    'happens before "whorl cluster plan" and "whorl cluster commit". Then its partitions move one by one, and it ' +
    "serves until the last has moved. When it has left, its process ends with code 0 and is not restarted; " +
    "started again on the same data directory, it is alone in a cluster of its own and may join again.\n\n" +
    "A node that is only joining leaves at once, without a commit, and keeps running. A node that is gone for good " +
    'cannot hand over anything: that is for "whorl cluster force-remove".',
  positionals: [{
    name: "NODE",
    says:
      "the member that leaves, as NAME@HOST; the node you talk to if absent",
    optional: true,
  }],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "cluster leave --data data/dev3", says: "dev3 wants to leave" },
    { line: "cluster plan --data data/dev1", says: "what would move where" },
    { line: "cluster commit --data data/dev1", says: "do it" },
  ],
  run(invocation, world) {
    const node = invocation.words[0];
    return stageChange(invocation, world, {
      verb: "leave",
      node,
      call: (session, options) =>
        session.call(
          "cluster_leave",
          node === undefined ? {} : { node },
          options,
        ),
    });
  },
};
