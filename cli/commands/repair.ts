/**
 * `whorl repair`: rebuild a partition from its neighbours.
 *
 * @module
 */
import type { RepairStatus } from "../../src/handoff/transfer.ts";
import type { AdminSession } from "../../src/node/admin_protocol.ts";
import { askMember } from "../../src/admin/member_calls.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { parsePartition } from "../partition_name.ts";
import { pause } from "../pause.ts";
import { ProgressLine } from "../progress_line.ts";
import { type NodeRepair, repairProgress, repairText } from "../repair_rows.ts";
import { nodeFlagsOf, withSession } from "../session_flags.ts";
import type { World } from "../world.ts";

/** Time between two looks at a repair, in milliseconds. */
const LOOK_INTERVAL_MS = 250;

/** `whorl repair` */
export const repairCommand: Command = {
  name: "repair",
  summary: "rebuild a partition from its neighbours",
  about:
    "For a partition that was wiped or has rotten: its owner asks the neighbours on the ring for what they " +
    "have in common with it. Any node can be asked; it finds the owner. The partition serves meanwhile, and " +
    "what it has is kept.\n\n" +
    "Returns as soon as the repair runs; with --wait when it is done, and with exit code 1 if it failed. " +
    '"whorl repairs" lists what runs and what has ended, "whorl transfers" shows the data move.',
  positionals: [{
    name: "PARTITION",
    says:
      "its number, 0 to ring size - 1, or its index, as whorl cluster partitions lists them",
  }],
  flags: [
    {
      name: "module",
      value: "NAME",
      says: "of this vnode module alone",
      default: "all modules",
    },
    { name: "wait", says: "show progress and return when it is done" },
  ],
  talksToNode: true,
  examples: [
    {
      line: "repair 42 --wait --data data/dev1",
      says: "partition 42, in all modules",
    },
    { line: "repair 42 --module kv --data data/dev1", says: "in kv alone" },
    { line: "repairs --data data/dev1", says: "how far repairs are" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const ring = await session.call("ring_status", {}, options);
      const partition = parsePartition(invocation.words[0]!, ring.ringSize);
      const node = ring.nodes[ring.owners[partition]!]!;
      const module = invocation.text("module") ?? null;
      const args = { partition, module };
      const started = await askMember(session, node, "repair", args, options);
      if (!invocation.on("wait")) {
        report(world, node, started, invocation.on("json"));
        return started.some(({ state }) => state === "failed")
          ? ExitCode.failed
          : ExitCode.ok;
      }
      const stopping = new AbortController();
      using _ = world.onStopSignal(() => stopping.abort());
      const ended = await untilEnded(session, node, started, {
        world,
        signal: stopping.signal,
        ...options,
      });
      report(world, node, ended, invocation.on("json"));
      if (stopping.signal.aborted) {
        world.output.remark(
          `The repair goes on. See it with: whorl repairs${
            nodeFlagsOf(invocation)
          }\n`,
        );
        return ExitCode.interrupted;
      }
      return ended.every(({ state }) => state === "done")
        ? ExitCode.ok
        : ExitCode.failed;
    }),
};

interface Wait {
  readonly world: World;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Shows progress until all of `repairs` have ended, or `signal` fires. */
async function untilEnded(
  session: AdminSession,
  node: string,
  repairs: readonly RepairStatus[],
  { world, signal, timeoutMs }: Wait,
): Promise<readonly RepairStatus[]> {
  const line = new ProgressLine(world.output);
  try {
    while (
      !signal.aborted && repairs.some(({ state }) => state === "running")
    ) {
      line.show(repairProgress(repairs));
      await pause(LOOK_INTERVAL_MS, signal);
      if (signal.aborted) break;
      const known = await askMember(session, node, "repairs", {}, {
        timeoutMs,
      });
      repairs = repairs.map((repair) => latest(repair, known));
    }
  } finally {
    line.clear();
  }
  return repairs;
}

function latest(
  repair: RepairStatus,
  known: readonly RepairStatus[],
): RepairStatus {
  return known.find(({ module, partition }) =>
    module === repair.module && partition === repair.partition
  ) ?? {
    ...repair,
    state: "failed",
    reason: "the node knows of it no more, as it was restarted",
  };
}

function report(
  { output }: World,
  node: string,
  repairs: readonly RepairStatus[],
  json: boolean,
): void {
  const rows: NodeRepair[] = repairs.map((repair) => ({ node, ...repair }));
  if (json) writeJson(output, { repairs: rows });
  else for (const row of rows) output.write(`${repairText(row)}\n`);
}
