/**
 * `whorl cluster partitions`: what a node owns and what it holds for others.
 *
 * @module
 */
import type { HeldPartitions } from "../../src/node/admin_protocol.ts";
import { partitionIndex } from "../../src/ring/chash.ts";
import { askMember } from "../../src/admin/member_calls.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { MEMBER_FLAG, withMember } from "../member_flag.ts";
import { renderTable } from "../table.ts";

/** `whorl cluster partitions` */
export const clusterPartitionsCommand: Command = {
  name: "cluster partitions",
  summary: "list the partitions a node owns, and those it holds for others",
  about:
    "A row for each partition, as riak_core calls them: primary, which the ring gives to the node; secondary, " +
    "of which it holds data for another one (it stood in for its owner, or has yet to hand it off); and " +
    "stopped, which it owns while a module that should serve it does not run. Then number and index, and the " +
    "modules that store something of it there.",
  positionals: [],
  flags: [MEMBER_FLAG],
  talksToNode: true,
  examples: [
    { line: "cluster partitions --data data/dev1", says: "of dev1" },
    {
      line: "cluster partitions --node dev2@127.0.0.1 --data data/dev1",
      says: "of dev2, by way of dev1",
    },
    {
      line: "cluster partition id=42 --data data/dev1",
      says: "more about one of them",
    },
  ],
  run: (invocation, world) =>
    withMember(invocation, world, async (session, member, options) => {
      const [held, { ringSize }] = await Promise.all([
        askMember(session, member, "held_partitions", {}, options),
        session.call("member_status", {}, options),
      ]);
      const { output } = world;
      const rows = partitionRows(held);
      if (invocation.on("json")) {
        const of = (role: Role) => rows.filter((row) => row.role === role);
        writeJson(output, {
          node: held.node,
          ringSize,
          primary: of("primary").map(({ partition }) => partition),
          secondary: of("secondary").map(({ partition }) => partition),
          stopped: of("stopped").map(({ partition }) => partition),
          held: held.held,
        });
        return ExitCode.ok;
      }
      if (output.isTerminal) output.write(`Partitions of ${held.node}:\n`);
      renderTable(
        output,
        ["Role", "ID", "Index", "Stores"],
        rows.map(({ role, partition, modules }) => [
          role,
          String(partition),
          String(partitionIndex(partition, ringSize)),
          modules.join(", "),
        ]),
        ["left", "right", "right"],
      );
      return ExitCode.ok;
    }),
};

type Role = "primary" | "secondary" | "stopped";

interface PartitionRow {
  readonly role: Role;
  readonly partition: number;
  /** Modules that store something of it. */
  readonly modules: readonly string[];
}

/** Primaries first, each kind in ring order. */
function partitionRows(
  { owned, held, modules, services }: HeldPartitions,
): PartitionRow[] {
  const storing = (partition: number): string[] =>
    held.filter((one) => one.partition === partition)
      .map(({ module }) => module);
  const serves = modules.every((module) => services.includes(module));
  const others = new Set(
    held.map(({ partition }) => partition)
      .filter((partition) => !owned.includes(partition)),
  );
  const row = (role: Role) => (partition: number): PartitionRow => ({
    role,
    partition,
    modules: storing(partition),
  });
  return [
    ...(serves ? owned.map(row("primary")) : []),
    ...[...others].sort((a, b) => a - b).map(row("secondary")),
    ...(serves ? [] : owned.map(row("stopped"))),
  ];
}
