/**
 * `whorl ring-status`: who owns which partition, and what is pending.
 *
 * @module
 */
import { ringStatusReport } from "../../src/ring/membership_display.ts";
import { ringStatusText } from "../../src/ring/ring_display.ts";
import { isWhorlError } from "../../src/base/errors.ts";
import type { TransferStatus } from "../../src/handoff/transfer.ts";
import type {
  AdminSession,
  RingStatus,
} from "../../src/node/admin_protocol.ts";
import { partitionAtIndex } from "../../src/ring/chash.ts";
import { askMembers } from "../../src/admin/member_calls.ts";
import { knownTransfers } from "../../src/admin/cluster_transfers.ts";
import {
  type CarriedTransfer,
  ringStatusRows,
} from "../../src/admin/cluster_rows.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl ring-status` */
export const ringStatusCommand: Command = {
  name: "ring-status",
  summary: "draw the ring; show claimant, pending transfers, unreachable nodes",
  about:
    "First the ring as a picture: a letter for the owner of each partition, in groups of four, which should " +
    "be four different nodes where there are as many. Then the claimant and whether all members agree on " +
    "the ring, the transfers that are pending, each with how far it is now and what it waits for, and the " +
    "members that cannot be reached.",
  positionals: [],
  flags: [{
    name: "only",
    value: "PART",
    says: "one of the two parts",
    choices: ["ring", "report"],
    default: "both",
  }],
  talksToNode: true,
  examples: [
    { line: "ring-status --data data/dev1", says: "all of it" },
    { line: "ring-status --only ring --data data/dev1", says: "the picture" },
    { line: "transfers --data data/dev1", says: "watch what is pending move" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const status = await fetchRing(session, options);
      if (invocation.on("json")) writeJson(world.output, status);
      else {
        const parts = [
          { name: "ring", text: () => ringStatusText(status) },
          {
            name: "report",
            text: () => ringStatusReport(ringStatusRows(status)),
          },
        ];
        const only = invocation.text("only");
        world.output.write(
          parts.filter(({ name }) => only === undefined || only === name)
            .map(({ text }) => text()).join("\n"),
        );
      }
      return ExitCode.ok;
    }),
};

/** The ring, and of each pending transfer what its owner says of it. */
async function fetchRing(
  session: AdminSession,
  options: { readonly timeoutMs: number },
): Promise<RingStatus & { readonly transfers: readonly CarriedTransfer[] }> {
  const ring = await session.call("ring_status", {}, options);
  const owners = [...new Set(ring.transfers.map(({ owner }) => owner))];
  const byOwner = await transfersOf(session, owners, options);
  return {
    ...ring,
    transfers: ring.transfers.map((pending) => ({
      ...pending,
      underWay:
        byOwner.get(pending.owner)?.filter((transfer) =>
          transfer.source === pending.owner &&
          (transfer.kind === "ownership" || transfer.kind === "resize") &&
          transfer.sourcePartition ===
            partitionAtIndex(pending.index, ring.ringSize)
        ) ?? null,
    })),
  };
}

async function transfersOf(
  session: AdminSession,
  nodes: readonly string[],
  options: { readonly timeoutMs: number },
): Promise<ReadonlyMap<string, readonly TransferStatus[]>> {
  if (nodes.length === 0) return new Map();
  try {
    const { answers } = await askMembers(session, "handoff_status", {}, {
      nodes,
      ...options,
    });
    return new Map(
      answers.map(({ node, result }) => [node, knownTransfers([result])]),
    );
  } catch (error) {
    // A node of an earlier version knows the ring and no more.
    if (isWhorlError(error, "unknown_command")) return new Map();
    throw error;
  }
}
