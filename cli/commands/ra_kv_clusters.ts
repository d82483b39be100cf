/**
 * `whorl ra_kv start-cluster`, `delete-cluster`, `clusters`, `members`,
 * `add-member`, `remove-member` and `overview`: clusters and who is in them.
 *
 * @module
 */
import type {
  ClusterMembers,
  MemberOverview,
} from "../../src/ra_kv/ra_kv_protocol.ts";
import type { AdminSession } from "../../src/node/admin_protocol.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { remarkFailures } from "../member_failures.ts";
import type { Output } from "../output.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";
import { CLUSTER_WORD, NODE_WORD, waitOf } from "./ra_kv_words.ts";

/** `whorl ra_kv start-cluster` */
export const raKvStartClusterCommand: Command = {
  name: "ra_kv start-cluster",
  summary: "start a cluster of the consistent store",
  about:
    "Starts a member on each node and ends when they have a leader, for which a majority must start. If they " +
    "do not, nothing is left of it. Three or five nodes are the usual choice: of three one may be lost, of " +
    "five two.",
  positionals: [CLUSTER_WORD, {
    name: "NODES",
    says:
      "names of the nodes, with commas between; all members of the ring if left out",
    optional: true,
  }],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line:
        "ra_kv start-cluster orders dev1@127.0.0.1,dev2@127.0.0.1,dev3@127.0.0.1",
      says: "on three nodes",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, nodes] = invocation.words as [string, string?];
    return await withSession(invocation, world, async (session, call) => {
      const members = nodes?.split(",") ?? await ringMembers(session);
      const started = await session.raKv.startCluster(
        cluster,
        members,
        waitOf(invocation, call),
      );
      const { output } = world;
      if (invocation.on("json")) writeJson(output, started);
      else {
        output.write(
          `Started ${cluster} on ${
            started.started.join(", ")
          }; ${started.leader} leads\n`,
        );
        remarkFailures(output, started.notStarted);
      }
      return ExitCode.ok;
    });
  },
};

async function ringMembers(session: AdminSession): Promise<string[]> {
  const { members } = await session.call("member_status", {});
  return members.filter(({ status }) => status === "valid").map(({ node }) =>
    node
  );
}

/** `whorl ra_kv delete-cluster` */
export const raKvDeleteClusterCommand: Command = {
  name: "ra_kv delete-cluster",
  summary: "delete a cluster and all that it stores",
  about:
    "Its members agree on it first; then each goes, with its data. One that cannot be reached is named, and " +
    "goes when it is back. Where no majority is left to agree, --force deletes what can be reached. There is " +
    "no way to undo it, so --yes has to be given.",
  positionals: [CLUSTER_WORD],
  flags: [
    { name: "yes", says: "yes, all of it" },
    { name: "force", says: "without asking the members" },
    {
      name: "node",
      value: "NODE",
      says: "by force, of several of that name the one with a member there",
      default: "all",
    },
  ],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv delete-cluster orders --yes --data data/dev1",
      says: "everything in it is gone",
    },
    {
      line: "ra_kv delete-cluster orders --force --yes --data data/dev1",
      says: "though most of its members are lost",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster] = invocation.words as [string];
    requireYes(invocation.on("yes"), `All that ${cluster} stores will be lost`);
    const force = invocation.on("force");
    const node = invocation.text("node");
    if (node !== undefined && !force) {
      throw new UsageError("--node is for deleting by --force");
    }
    return await withSession(invocation, world, async (session, call) => {
      const deleted = await session.raKv.deleteCluster(cluster, {
        force,
        node,
        ...waitOf(invocation, call),
      });
      const { output } = world;
      if (invocation.on("json")) writeJson(output, deleted);
      else {
        output.write(
          `Deleted ${cluster} on ${deleted.deleted.join(", ") || "no node"}\n`,
        );
        remarkFailures(output, deleted.notDeleted);
      }
      return deleted.notDeleted.length === 0 ? ExitCode.ok : ExitCode.failed;
    });
  },
};

/** `whorl ra_kv clusters` */
export const raKvClustersCommand: Command = {
  name: "ra_kv clusters",
  summary: "list the clusters of the consistent store",
  about:
    "A row for each cluster that any node has a member of: who leads it and where its members are.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{ line: "ra_kv clusters --data data/dev1", says: "all of them" }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, call) => {
      const { output } = world;
      const found = await session.raKv.clusters(waitOf(invocation, call));
      if (invocation.on("json")) writeJson(output, found);
      else {
        remarkFailures(output, found.failures);
        if (found.clusters.length === 0) {
          output.remark("There are no clusters\n");
        } else {
          renderTable(
            output,
            ["cluster", "leader", "members"],
            found.clusters.map(({ cluster, leader, nodes }) => [
              cluster,
              leader ?? "-",
              nodes.join(" "),
            ]),
          );
        }
      }
      return ExitCode.ok;
    }),
};

/** `whorl ra_kv members` */
export const raKvMembersCommand: Command = {
  name: "ra_kv members",
  summary: "show the members of a cluster",
  about:
    "Who the members are, as a majority of them confirms: who leads, who votes, and who is still catching " +
    "up before it does.",
  positionals: [CLUSTER_WORD],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "ra_kv members orders --data data/dev1", says: "of one cluster" },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster] = invocation.words as [string];
    return await withSession(invocation, world, async (session, call) => {
      const members = await session.raKv.members(
        cluster,
        waitOf(invocation, call),
      );
      writeMembers(world.output, members, invocation.on("json"));
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv add-member` */
export const raKvAddMemberCommand: Command = {
  name: "ra_kv add-member",
  summary: "add a member to a cluster",
  about:
    "Starts a member on a node and ends when a majority has agreed to it. It gets all the data and then " +
    "votes, unless --non-voter is given. If it is refused, nothing is left of it.",
  positionals: [CLUSTER_WORD, NODE_WORD],
  flags: [{
    name: "non-voter",
    says: "it gets the data and neither votes nor counts",
  }],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv add-member orders dev4@127.0.0.1 --data data/dev1",
      says: "a fourth one",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, node] = invocation.words as [string, string];
    return await withSession(invocation, world, async (session, call) => {
      const members = await session.raKv.addMember(cluster, node, {
        kind: invocation.on("non-voter") ? "non_voter" : "voter",
        ...waitOf(invocation, call),
      });
      writeMembers(world.output, members, invocation.on("json"));
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv remove-member` */
export const raKvRemoveMemberCommand: Command = {
  name: "ra_kv remove-member",
  summary: "remove a member from a cluster",
  about:
    "Ends when a majority of the others has agreed, and then removes what the member stored. If its node " +
    "cannot be reached, that stays there, and is said.",
  positionals: [CLUSTER_WORD, NODE_WORD],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "ra_kv remove-member orders dev3@127.0.0.1 --data data/dev1",
      says: "one of them",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster, node] = invocation.words as [string, string];
    return await withSession(invocation, world, async (session, call) => {
      const removed = await session.raKv.removeMember(
        cluster,
        node,
        waitOf(invocation, call),
      );
      const { output } = world;
      if (invocation.on("json")) writeJson(output, removed);
      else {
        output.write(`Removed ${node} from ${cluster}\n`);
        if (!removed.dropped) {
          output.remark(
            `${node} could not be reached: what it stored is still there\n`,
          );
        }
      }
      return ExitCode.ok;
    });
  },
};

/** `whorl ra_kv overview` */
export const raKvOverviewCommand: Command = {
  name: "ra_kv overview",
  summary: "show how the members of a cluster are doing",
  about:
    "A row for each member that answers: its role, how far it has agreed and applied, how far its snapshot " +
    "reaches, how many keys it has, and the files of its log.",
  positionals: [CLUSTER_WORD],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "ra_kv overview orders --data data/dev1", says: "of all members" },
  ],
  async run(invocation, world): Promise<number> {
    const [cluster] = invocation.words as [string];
    return await withSession(invocation, world, async (session, call) => {
      const { output } = world;
      const overview = await session.raKv.overview(
        cluster,
        waitOf(invocation, call),
      );
      if (invocation.on("json")) writeJson(output, overview);
      else {
        renderTable(
          output,
          OVERVIEW_HEADING,
          overview.overviews.map(overviewRow),
          OVERVIEW_HEADING.map((_, at) => at < 2 ? "left" : "right"),
        );
        remarkFailures(output, overview.failures);
      }
      return ExitCode.ok;
    });
  },
};

const OVERVIEW_HEADING = [
  "member",
  "role",
  "term",
  "agreed",
  "applied",
  "snapshot",
  "keys",
  "segments",
  "bytes",
];

function overviewRow(
  { node, role, term, commitIndex, appliedIndex, log, machine }: MemberOverview,
): string[] {
  return [
    node,
    role,
    ...[
      term,
      commitIndex,
      appliedIndex,
      log.snapshotIndex,
      machine["keys"] ?? 0,
      log.segments,
      log.segmentBytes,
    ].map(String),
  ];
}

/** Members as a table, or as JSON. */
export function writeMembers(
  output: Output,
  members: ClusterMembers,
  json: boolean,
): void {
  if (json) return writeJson(output, members);
  renderTable(
    output,
    ["member", "role", "kind"],
    members.members.map(({ node, kind }) => [
      node,
      node === members.leader ? "leader" : "follower",
      kind,
    ]),
  );
}

/** @throws {UsageError} Unless `yes`. */
export function requireYes(yes: boolean, consequence: string): void {
  if (!yes) throw new UsageError(`${consequence}: add --yes if you mean it`);
}
