/**
 * `whorl cluster partition`: a partition by number or by index, and who holds
 * it.
 *
 * @module
 */
import type { RingStatus } from "../../src/node/admin_protocol.ts";
import { N_DEFAULT } from "../../src/request/quorum_options.ts";
import { partitionIndex } from "../../src/ring/chash.ts";
import { activePreflist } from "../../src/ring/preflist.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { parsePartition } from "../partition_name.ts";
import { withSession } from "../session_flags.ts";

/** `whorl cluster partition` */
export const clusterPartitionCommand: Command = {
  name: "cluster partition",
  summary:
    "translate between a partition's number and its index; say who holds it",
  about:
    "A partition has a number, 0 to ring size - 1, and an index, the number of 160 bits that riak_core shows. " +
    "Give either and get both, the owner, the next owner if it is to move, and the active preference list of " +
    `keys whose first owner it is: the ${N_DEFAULT} vnodes that answer for them now, fallbacks for owners ` +
    "that cannot be reached included.",
  positionals: [{
    name: "PARTITION",
    says: "id=N or index=N; a bare number is understood as well",
  }],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "cluster partition id=42 --data data/dev1", says: "by number" },
    {
      line:
        "cluster partition index=45671926166590716193865151022383844364247891968 --data data/dev1",
      says: "by index",
    },
  ],
  run(invocation, world) {
    const [key, text] = parseWord(invocation.words[0]!);
    return withSession(invocation, world, async (session, options) => {
      const ring = await session.call("ring_status", {}, options);
      const partition = parsePartition(text, ring.ringSize);
      const index = String(partitionIndex(partition, ring.ringSize));
      // An index is the only name of a partition that is that long, but for 0.
      if (
        key !== undefined && text !== (key === "id" ? String(partition) : index)
      ) {
        throw new UsageError(
          `There is no partition with ${key}=${text} in a ring of ${ring.ringSize}`,
        );
      }
      const preflist = preflistOf(ring, partition);
      const nextOwner = ring.transfers.find((transfer) =>
        transfer.index === index
      )?.nextOwner ?? null;
      const owner = ring.nodes[ring.owners[partition]!]!;
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, {
          id: partition,
          index,
          ringSize: ring.ringSize,
          owner,
          nextOwner,
          preflist,
        });
        return ExitCode.ok;
      }
      const lines: [string, string][] = [
        ["ID", `${partition} of 0 to ${ring.ringSize - 1}`],
        ["Index", index],
        ["Owner", owner],
        ...(nextOwner === null
          ? []
          : [["Next Owner", nextOwner] as [string, string]]),
        ...preflist.map((entry, place): [string, string] => [
          place === 0 ? "Preflist" : "",
          `${entry.partition} ${entry.node} (${entry.kind})`,
        ]),
      ];
      for (const [name, fact] of lines) {
        const title = name === "" ? "" : `${name}:`;
        output.write(`${title.padEnd(12)}${fact}\n`);
      }
      return ExitCode.ok;
    });
  },
};

function parseWord(
  word: string,
): [key: "id" | "index" | undefined, text: string] {
  const match = /^(?:(id|index)=)?(\d+)$/.exec(word);
  if (match !== null) return [match[1] as "id" | "index", match[2]!];
  throw new UsageError(
    `PARTITION must be id=N or index=N: it is ${JSON.stringify(word)}`,
  );
}

function preflistOf(ring: RingStatus, partition: number) {
  const n = Math.min(N_DEFAULT, ring.ringSize);
  const away = new Set([...ring.unreachable, ...ring.markedDown]);
  return activePreflist(
    {
      nodes: ring.nodes,
      owners: Uint16Array.from(ring.owners),
      up: Uint8Array.from(ring.nodes, (node) => away.has(node) ? 0 : 1),
    },
    partition,
    n,
  );
}
