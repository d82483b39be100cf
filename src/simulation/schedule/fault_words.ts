/**
 * Schedules in words, for traces, reports and pages.
 *
 * @module
 */
import type {
  PlannedAct,
  PlannedChange,
  PlannedFault,
  Schedule,
} from "./schedule.ts";

/** The name of the machine of node `index` throughout a simulation. */
export function hostOf(index: number): string {
  return `n${index + 1}`;
}

/** Describes `fault` in one line. */
export function describeFault(fault: PlannedFault): string {
  const nodes = (indexes: readonly number[]): string =>
    indexes.map(hostOf).join(" and ");
  const lasting = `for ${Math.round(fault.forMs)} ms`;
  switch (fault.type) {
    case "kill":
      return `${hostOf(fault.node)} is killed and down ${lasting}`;
    case "power_loss":
      return `${hostOf(fault.node)} loses power and is down ${lasting}`;
    case "bit_rot":
      return `${hostOf(fault.node)} is down ${lasting} while its disk rots`;
    case "declared_down":
      return `${hostOf(fault.node)} is ${
        fault.cut ? "cut off" : "killed"
      } and declared down, and gone ${lasting}`;
    case "pause":
      return `${hostOf(fault.node)} stands still ${lasting}`;
    case "partition":
      return `nothing gets from ${nodes(fault.from)} to ${nodes(fault.to)}${
        fault.oneWay ? "" : " or back"
      } ${lasting}${fault.break ? ", connections break" : ""}`;
    case "slow_link":
      return `${hostOf(fault.from)} to ${
        hostOf(fault.to)
      } takes ${fault.delayMs} ms more ${lasting}`;
    case "corrupt_link":
      return `${hostOf(fault.from)} to ${
        hostOf(fault.to)
      } changes a bit of a write with probability ${fault.probability} ${lasting}`;
    case "reset":
      return `connections between ${hostOf(fault.from)} and ${
        hostOf(fault.to)
      } break`;
    case "clock_jump":
      return `the clock of ${hostOf(fault.node)} is off by ${
        fault.byMs / 1_000
      } s ${lasting}`;
    case "disk_full":
      return `the disk of ${hostOf(fault.node)} is full ${lasting}`;
    case "disk_errors":
      return `writes of ${
        hostOf(fault.node)
      } fail with probability ${fault.probability} ${lasting}`;
    case "slow_disk":
      return `each sync of ${
        hostOf(fault.node)
      } takes ${fault.delayMs} ms more ${lasting}`;
  }
}

/** Describes `change` in one line. */
export function describeChange(change: PlannedChange): string {
  switch (change.type) {
    case "join":
    case "leave":
      return `${hostOf(change.node)} ${change.type}s${stagedOnly(change)}`;
    case "replace":
      return `${hostOf(change.by)} replaces ${hostOf(change.node)}${
        stagedOnly(change)
      }`;
    case "force_remove":
      return `${hostOf(change.node)} dies for good and is removed`;
    case "force_replace":
      return `${hostOf(change.node)} dies for good and ${
        hostOf(change.by)
      } replaces it`;
    case "clear":
      return "what is staged is cleared";
    case "transfer_limit":
      return `${hostOf(change.node)} may have ${
        countOf(change.limit, "transfer")
      } at once for ${Math.round(change.forMs)} ms`;
    case "handoff_off":
      return `${hostOf(change.node)} has no ${
        change.direction === "both" ? "" : `${change.direction} `
      }transfers for ${Math.round(change.forMs)} ms`;
  }
}

/** Name of a Raft group by its number. */
export function groupOf(number: number): string {
  return number === 0 ? "sim" : `sim${number + 1}`;
}

/** Describes `act` in one line. */
export function describeAct(act: PlannedAct): string {
  switch (act.type) {
    case "add_member":
      return `${hostOf(act.node)} becomes a member, ${
        act.kind.replace("_", "-")
      }`;
    case "remove_member":
      return `${hostOf(act.node)} is a member no more`;
    case "transfer":
      return `${hostOf(act.node)} is to lead`;
    case "snapshot":
      return `${hostOf(act.node)} takes a snapshot`;
    case "compact":
      return `${hostOf(act.node)} tidies its segments`;
    case "leader_fault":
      return `whoever leads: ${act.how.replace("_", " ")} for ${
        Math.round(act.forMs)
      } ms`;
    case "log_rot":
      return act.forMs === 0
        ? `a ${act.part} of ${hostOf(act.node)} rots`
        : `${hostOf(act.node)} is down for ${
          Math.round(act.forMs)
        } ms while a ${act.part} of its Raft logs rots`;
    case "voter_fault":
      return `who next takes a new term loses power ${
        Number(act.afterMs.toFixed(2))
      } ms later, for ${Math.round(act.forMs)} ms`;
  }
}

function stagedOnly({ commit }: { readonly commit: boolean }): string {
  return commit ? "" : ", which is only staged";
}

/**
 * Describes `schedule`, with a line each for its size, its weather and every
 * fault.
 */
export function describeSchedule(schedule: Schedule): string[] {
  const { network, disk, faults, changes, groups = [], raftLogs } = schedule;
  const timed = [
    ...faults.map((fault) => [fault.atMs, describeFault(fault)] as const),
    ...changes.map((change) =>
      [change.atMs, `operator: ${describeChange(change)}`] as const
    ),
    ...groups.flatMap(({ acts }, number) =>
      acts.map((act) =>
        [act.atMs, `${groupOf(number)}: ${describeAct(act)}`] as const
      )
    ),
  ].sort(([a], [b]) => a - b);
  const bad = [
    network.lossProbability > 0
      ? `${percent(network.lossProbability)} lost`
      : "",
    network.repeatProbability > 0
      ? `${percent(network.repeatProbability)} twice`
      : "",
    network.reorderProbability > 0
      ? `${percent(network.reorderProbability)} out of order`
      : "",
  ].filter((part) => part !== "");
  return [
    `${countOf(schedule.nodes, "node")} (${
      schedule.start === "formed"
        ? "in one ring from the start"
        : "joining one by one"
    })${
      schedule.spares === 0
        ? ""
        : ` and ${countOf(schedule.spares, "machine")} to spare`
    }, ring of ${schedule.ringSize}, ${
      countOf(schedule.operations.length, "operation")
    } of ${countOf(schedule.clientCount, "client")} ${
      schedule.clients === "inside" ? "in the nodes" : "over connections"
    } in ${schedule.loadMs} ms`,
    `network: ${range(network.delayMsMin, network.delayMsMax)} a segment${
      bad.length === 0 ? ", none lost" : `, ${bad.join(", ")}`
    }; disks: ${range(disk.syncMsMin, disk.syncMsMax)} a sync${
      disk.liesAboutSync ? ", which is a lie" : ""
    }`,
    ...groups.map(({ members }, number) =>
      `Raft group ${groupOf(number)} on ${members.map(hostOf).join(", ")}`
    ),
    ...(raftLogs === undefined ? [] : [
      `Raft logs: files of ${raftLogs.walBytesMax} bytes, segments of ${raftLogs.segmentEntriesMax} entries, a snapshot after ${raftLogs.snapshotEntriesMin}`,
    ]),
    ...(faults.length === 0 ? ["no faults"] : []),
    ...timed.map(([atMs, what]) =>
      `${String(Math.round(atMs)).padStart(6)} ms  ${what}`
    ),
  ];
}

/** `n` of something: `1 node`, `3 nodes`. */
export function countOf(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function range(min: number, max: number): string {
  const ms = (value: number): number => Number(value.toFixed(3));
  return min === max ? `${ms(min)} ms` : `${ms(min)} to ${ms(max)} ms`;
}

function percent(probability: number): string {
  return `${Number((probability * 100).toPrecision(2))}%`;
}
