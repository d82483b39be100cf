/**
 * `whorl handoff enable` and `whorl handoff disable`: let transfers of a
 * direction go on, or stop them.
 *
 * @module
 */
import type { TransferDirection } from "../../src/handoff/transfer.ts";
import { askMembers } from "../../src/admin/member_calls.ts";
import { type Command, UsageError } from "../command.ts";
import { ALL_FLAG, MEMBER_FLAG, withMembers } from "../member_flag.ts";
import { nearest } from "../suggestion.ts";
import { changeCode, writeConfigs } from "../transfers/config_rows.ts";

const DIRECTIONS: readonly TransferDirection[] = [
  "inbound",
  "outbound",
  "both",
];

/** `whorl handoff enable` */
export const handoffEnableCommand: Command = switchCommand("enable", {
  summary: "let transfers from or to a node run again",
  about:
    "Transfers of that direction start, and those that were stopped go on from where they were.",
});

/** `whorl handoff disable` */
export const handoffDisableCommand: Command = switchCommand("disable", {
  summary: "stop transfers from or to a node, for now",
  about:
    "Transfers of that direction that run pause, and none start: for a node that is busy with other things. Nothing " +
    "is lost: the old owner keeps and serves the data until it has been handed off.",
});

function switchCommand(
  verb: "enable" | "disable",
  { summary, about }: { summary: string; about: string },
): Command {
  return {
    name: `handoff ${verb}`,
    summary,
    about: `${about} It is about the node you talk to, another member with ` +
      "--node NAME@HOST, or with --all about every member. The setting lasts until the node is restarted. " +
      "Prints what is set then; the exit code is 1 if a member could not be told.",
    positionals: [{
      name: "DIRECTION",
      says: "inbound (from others), outbound (to others) or both",
    }],
    flags: [MEMBER_FLAG, ALL_FLAG],
    talksToNode: true,
    examples: [
      {
        line: `handoff ${verb} outbound --data data/dev1`,
        says: "what dev1 gives to others",
      },
      {
        line: `handoff ${verb} inbound --node dev2@127.0.0.1 --data data/dev1`,
        says: "what dev2 takes, by way of dev1",
      },
      {
        line: `handoff ${verb} both --all --data data/dev1`,
        says: "everything, everywhere",
      },
    ],
    run(invocation, world) {
      const direction = directionOf(invocation.words[0]!);
      return withMembers(
        invocation,
        world,
        async (session, nodes, { timeoutMs }) => {
          const configs = await askMembers(
            session,
            "handoff_set_enabled",
            { direction, enabled: verb === "enable" },
            { nodes, timeoutMs },
          );
          writeConfigs(world.output, configs, invocation.on("json"));
          return changeCode(configs);
        },
      );
    },
  };
}

function directionOf(word: string): TransferDirection {
  const found = DIRECTIONS.find((direction) => direction === word);
  if (found !== undefined) return found;
  const near = nearest(word, DIRECTIONS);
  throw new UsageError(
    `DIRECTION must be one of ${DIRECTIONS.join(", ")}: it is ${
      JSON.stringify(word)
    }` + (near === undefined ? "" : `. Did you mean ${near}?`),
  );
}
