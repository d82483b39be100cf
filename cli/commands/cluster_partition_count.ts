/**
 * `whorl cluster partition-count`: how many partitions there are, or a node
 * owns.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { MEMBER_FLAG, withMember } from "../member_flag.ts";

/** `whorl cluster partition-count` */
export const clusterPartitionCountCommand: Command = {
  name: "cluster partition-count",
  summary: "count the partitions of the ring, or those a node owns",
  about:
    "Without --node the size of the ring; with --node how many of them that member owns now.",
  positionals: [],
  flags: [{ ...MEMBER_FLAG, default: "the whole ring is counted" }],
  talksToNode: true,
  examples: [
    { line: "cluster partition-count --data data/dev1", says: "of the ring" },
    {
      line: "cluster partition-count --node dev2@127.0.0.1 --data data/dev1",
      says: "of dev2, as dev1 knows it",
    },
  ],
  run: (invocation, world) =>
    withMember(invocation, world, async (session, member, options) => {
      const { ringSize, members } = await session.call(
        "member_status",
        {},
        options,
      );
      const { output } = world;
      const json = invocation.on("json");
      if (invocation.text("node") === undefined) {
        if (json) writeJson(output, { ringSize });
        else output.write(`${ringSize}\n`);
        return ExitCode.ok;
      }
      const found = members.find(({ node }) => node === member);
      if (found === undefined) {
        throw new WhorlError(
          "not_member",
          `Cannot count the partitions of ${member} as it is no member of the cluster`,
          { details: { node: member } },
        );
      }
      const { partitions } = found;
      if (json) writeJson(output, { node: member, partitions, ringSize });
      else output.write(`${partitions}\n`);
      return ExitCode.ok;
    }),
};
