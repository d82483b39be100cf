/**
 * `whorl cluster force-remove`: stage that a member is one no longer.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { stageChange } from "./stage_change.ts";

/** `whorl cluster force-remove` */
export const clusterForceRemoveCommand: Command = {
  name: "cluster force-remove",
  summary: "stage the removal of a member that will not come back",
  about:
    "Stages the removal of NODE: with the commit others own its partitions at once, empty, and " +
    "rebuild them from replicas. Data of which all replicas were on NODE is lost. For a node whose disk or " +
    'machine is gone; one that runs should leave with "whorl cluster leave".\n\n' +
    'The claimant cannot be removed: mark it with "whorl down" first, and another one takes over.',
  positionals: [{ name: "NODE", says: "the member, as NAME@HOST" }],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "cluster force-remove dev3@127.0.0.1 --data data/dev1",
      says: "dev3 will not come back",
    },
    {
      line: "cluster plan --data data/dev1",
      says: "who gets what, and what is lost",
    },
    { line: "cluster commit --data data/dev1", says: "do it" },
  ],
  run(invocation, world) {
    const node = invocation.words[0]!;
    return stageChange(invocation, world, {
      verb: "force-remove",
      node,
      call: (session, options) =>
        session.call("cluster_force_remove", { node }, options),
    });
  },
};
