/**
 * `whorl ra_kv snapshot`, `compact`, `live-indexes`, `transfer-leadership` and
 * `force-shrink`: the logs of a cluster's members, and who leads.
 *
 * @module
 */
import type { RaKvClient, RaKvOptions } from "../../src/ra_kv/ra_kv_client.ts";
import type { MemberSnapshots } from "../../src/ra_kv/ra_kv_protocol.ts";
import type { Command, Invocation } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { remarkFailures } from "../member_failures.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";
import type { World } from "../world.ts";
import { requireYes, writeMembers } from "./ra_kv_clusters.ts";
import { CLUSTER_WORD, NODE_WORD, ON_FLAG, waitOf } from "./ra_kv_words.ts";

/** `whorl ra_kv snapshot` */
export const raKvSnapshotCommand: Command = {
  name: "ra_kv snapshot",
  summary: "have members store their state",
  about:
    "Each member stores where the values of its keys are, so that its log can let go of entries that no key " +
    "points to. It happens by itself as a log grows; the answer is up to which index each snapshot reaches.",
  positionals: [CLUSTER_WORD],
  flags: [ON_FLAG],
  talksToNode: true,
  examples: [
    { line: "ra_kv snapshot orders --data data/dev1", says: "of each member" },
  ],
  run: (invocation, world) =>
    onMembers(invocation, world, (raKv, ...rest) => raKv.takeSnapshot(...rest)),
};

/** `whorl ra_kv compact` */
export const raKvCompactCommand: Command = {
  name: "ra_kv compact",
  summary: "have members merge the files of their logs",
  about:
    "Each member merges files of its log that are mostly made of entries nobody needs. It happens by itself " +
    "after some snapshots.",
  positionals: [CLUSTER_WORD],
  flags: [ON_FLAG],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv compact orders --on dev1@127.0.0.1 --data data/dev1",
      says: "of one member",
    },
  ],
  run: (invocation, world) =>
    onMembers(invocation, world, (raKv, ...rest) => raKv.compact(...rest)),
};

async function onMembers(
  invocation: Invocation,
  world: World,
  ask: (
    raKv: RaKvClient,
    cluster: string,
    options: RaKvOptions & { readonly node: string | undefined },
  ) => Promise<MemberSnapshots>,
): Promise<number> {
  const [cluster] = invocation.words as [string];
  return await withSession(invocation, world, async (session, call) => {
    const { snapshots, failures } = await ask(session.raKv, cluster, {
      node: invocation.text("on"),
      ...waitOf(invocation, call),
    });
    const { output } = world;
    if (invocation.on("json")) {
      writeJson(output, { cluster, snapshots, failures });
    } else {
      renderTable(
        output,
        ["member", "snapshot"],
        snapshots.map(({ node, snapshotIndex }) => [
          node,
          String(snapshotIndex),
        ]),
        ["left", "right"],
      );
      remarkFailures(output, failures);
    }
    return failures.length === 0 ? ExitCode.ok : ExitCode.failed;
  });
}

/** `whorl ra_kv live-indexes` */
export const raKvLiveIndexesCommand: Command = {
  name: "ra_kv live-indexes",
  summary: "list the entries that hold values of a cluster",
  about:
    "The index of each entry that a key points to, one a line, as the leader has it or another member. All " +
    "members that have applied the same have the same.",
  positionals: [CLUSTER_WORD],
  flags: [{ ...ON_FLAG, says: "of this node's member", default: "the leader" }],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv live-indexes orders --data data/dev1",
      says: "at the leader",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster] = invocation.words as [string];
    return await withSession(invocation, world, async (session, call) => {
      const indexes = await session.raKv.liveIndexes(cluster, {
        node: invocation.text("on"),
        ...waitOf(invocation, call),
      });
      if (invocation.on("json")) {
        writeJson(world.output, { cluster, indexes });
      } else {
        world.output.write(indexes.map((index) => `${index}\n`).join(""));
      }
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv transfer-leadership` */
export const raKvTransferLeadershipCommand: Command = {
  name: "ra_kv transfer-leadership",
  summary: "have another member of a cluster lead",
  about:
    "Hands the lead to the member on a node, without the pause that an election would take. For the time " +
    "before a node is stopped, or to spread the work of many clusters.",
  positionals: [CLUSTER_WORD, NODE_WORD],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv transfer-leadership orders dev2@127.0.0.1 --data data/dev1",
      says: "to the member on dev2",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, node] = invocation.words as [string, string];
    return await withSession(invocation, world, async (session, call) => {
      const members = await session.raKv.transferLeadership(
        cluster,
        node,
        waitOf(invocation, call),
      );
      writeMembers(world.output, members, invocation.on("json"));
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv force-shrink` */
export const raKvForceShrinkCommand: Command = {
  name: "ra_kv force-shrink",
  summary: "make one member of a cluster the only one",
  about:
    "For a cluster whose majority is lost for good: the member on a node goes on alone with what it has. " +
    "What only the others had is lost, though it was acknowledged. If one of them still lives there are two " +
    "clusters of one name, so --yes has to be given. Choose the member that overview shows furthest ahead.",
  positionals: [CLUSTER_WORD, NODE_WORD],
  flags: [{ name: "yes", says: "yes, the others will never come back" }],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv force-shrink orders dev1@127.0.0.1 --yes --data data/dev1",
      says: "the last resort",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, node] = invocation.words as [string, string];
    requireYes(
      invocation.on("yes"),
      `What only the other members of ${cluster} have will be lost`,
    );
    return await withSession(invocation, world, async (session, call) => {
      const members = await session.raKv.forceShrink(
        cluster,
        node,
        waitOf(invocation, call),
      );
      writeMembers(world.output, members, invocation.on("json"));
      return ExitCode.ok;
    });
  },
};
