/**
 * `whorl cluster replace` and `whorl cluster force-replace`: stage that a joining
 * node takes the place of a member.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { stageChange } from "./stage_change.ts";

const POSITIONALS: Command["positionals"] = [
  { name: "NODE", says: "the member that goes, as NAME@HOST" },
  {
    name: "REPLACEMENT",
    says: "the joining node that takes its place, as NAME@HOST",
  },
];

/** `whorl cluster replace` */
export const clusterReplaceCommand: Command = {
  name: "cluster replace",
  summary: "stage a joining node to take the place of a member",
  about:
    "Stages that NODE hands over each of its partitions to REPLACEMENT and leaves. Nothing else moves, which " +
    "makes it the cheapest way to exchange a machine. REPLACEMENT must have asked to join before, with " +
    '"whorl cluster join", and not be committed yet. Nothing happens before "whorl cluster plan" and ' +
    '"whorl cluster commit".',
  positionals: POSITIONALS,
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "cluster join dev1@127.0.0.1:10101 --data data/dev4",
      says: "the new machine asks to join",
    },
    {
      line: "cluster replace dev3@127.0.0.1 dev4@127.0.0.1 --data data/dev1",
      says: "it is to take dev3's place",
    },
    { line: "cluster plan --data data/dev1", says: "look at it" },
    { line: "cluster commit --data data/dev1", says: "do it" },
  ],
  run(invocation, world) {
    const [node, replacement] = invocation.words as [string, string];
    return stageChange(invocation, world, {
      verb: "replace",
      node,
      replacement,
      call: (session, options) =>
        session.call("cluster_replace", { node, replacement }, options),
    });
  },
};

/** `whorl cluster force-replace` */
export const clusterForceReplaceCommand: Command = {
  name: "cluster force-replace",
  summary: "stage a joining node to own what a lost member owned",
  about:
    "Stages that REPLACEMENT owns each partition of NODE at once, empty, and rebuilds them from replicas; NODE " +
    "is a member no longer. Data of which all replicas were on NODE is lost. For a machine that is gone and has " +
    'a successor; while it runs, use "whorl cluster replace".',
  positionals: POSITIONALS,
  flags: [],
  talksToNode: true,
  examples: [
    {
      line:
        "cluster force-replace dev3@127.0.0.1 dev4@127.0.0.1 --data data/dev1",
      says: "dev3 is lost, dev4 has asked to join",
    },
    {
      line: "cluster plan --data data/dev1",
      says: "who gets what, and what is lost",
    },
    { line: "cluster commit --data data/dev1", says: "do it" },
  ],
  run(invocation, world) {
    const [node, replacement] = invocation.words as [string, string];
    return stageChange(invocation, world, {
      verb: "force-replace",
      node,
      replacement,
      call: (session, options) =>
        session.call("cluster_force_replace", { node, replacement }, options),
    });
  },
};
