/**
 * Makes a schedule from a seed. Each seed draws its own mix: some types of
 * fault are switched off for it altogether, so that the others combine in ways
 * that an even mix would hardly ever show (Groce et al., "Swarm Testing", ISSTA
 * 2012). A run may be calm in one respect and wild in another.
 *
 * @module
 */
import { type Chance, seededChance } from "../../base/chance.ts";
import {
  CHANGE_TYPES,
  drawChanges,
  drawFaultsBesideChanges,
  losesMachine,
} from "./draw_membership.ts";
import type { RaftLogSizes } from "../../raft/raft_log_sizes.ts";
import { ACT_TYPES, drawActs, LOG_PARTS } from "./draw_acts.ts";
import { limitOutages } from "./outages.ts";
import type {
  DiskWeather,
  FaultType,
  GroupPlan,
  NetworkWeather,
  PlannedFault,
  Schedule,
} from "./schedule.ts";

/** Every type of fault. */
export const FAULT_TYPES: readonly FaultType[] = [
  "kill",
  "power_loss",
  "pause",
  "partition",
  "slow_link",
  "corrupt_link",
  "reset",
  "clock_jump",
  "disk_full",
  "disk_errors",
  "slow_disk",
  "bit_rot",
  "declared_down",
];

export { ACT_TYPES, CHANGE_TYPES, LOG_PARTS };

/**
 * The type of schedule:
 *
 * - `small`: a cluster with constant membership, and faults;
 * - `membership`: nodes join, leave and are replaced meanwhile;
 * - `raft`: clients use Raft groups of `ra_kv`, whose members change, on nodes
 *   that stay.
 */
export type ScheduleProfile = "small" | "membership" | "raft";

/**
 * Longest fault of a disk during membership changes, in virtual milliseconds.
 */
const DISK_FAULT_MS_MAX = 1_500;

/** Every {@linkcode ScheduleProfile}. */
export const SCHEDULE_PROFILES: readonly ScheduleProfile[] = [
  "small",
  "membership",
  "raft",
];

/** The fixed parts of a schedule; the seed draws the rest. */
export interface ScheduleOptions {
  /** The type of schedule. @default {"small"} */
  readonly profile?: ScheduleProfile;
  /**
   * Number of nodes, from 1 to 16.
   *
   * @default {3; in the profile `membership` drawn from 1 to 4, in `raft` 3 or
   * 5}
   */
  readonly nodes?: number;
  /**
   * Number of further machines whose nodes may join, from 0 to 16.
   *
   * @default {0; in the profile `membership` drawn from 1 to 3}
   */
  readonly spares?: number;
  /** Partitions of the ring: a power of two from 8 to 1024. @default {8} */
  readonly ringSize?: number;
  /**
   * Number of operations of all clients together.
   *
   * @default {50; in the profile `membership` 60, in `raft` 120}
   */
  readonly operations?: number;
  /**
   * Number of clients, each with one operation at a time.
   *
   * @default {drawn from 2 to 5; in the profile `raft` from 3 to 8}
   */
  readonly clients?: number;
  /** Types of fault that may be drawn. @default {all} */
  readonly faults?: readonly FaultType[];
  /** How long load and faults last, in virtual milliseconds. @default {drawn from 3,000 to 9,000} */
  readonly loadMs?: number;
  /**
   * Whether nodes start with a shared ring, or join one by one.
   *
   * @default {drawn: one run in eight joins}
   */
  readonly start?: Schedule["start"];
}

/** Draws the schedule of `seed`. @throws {RangeError} If an option is out of its range. */
export function drawSchedule(
  seed: string | number,
  options: ScheduleOptions = {},
): Schedule {
  if (options.profile === "membership") return drawMembership(seed, options);
  if (options.profile === "raft") return drawRaft(seed, options);
  const { nodes = 3, spares = 0, ringSize = 8, operations = 50 } = options;
  checkRange("nodes", nodes, 1, 16);
  checkRange("spares", spares, 0, 16);
  checkRange("operations", operations, 0, 1_000_000);
  const chance = seededChance(`schedule ${seed}`);
  const clientCount = options.clients ?? 2 + chance.below(4);
  checkRange("clients", clientCount, 1, 1_000);
  const loadMs = options.loadMs ?? 3_000 + chance.below(6_000);
  const allowed = options.faults ?? FAULT_TYPES;
  const start = options.start ??
    (chance.chance(1 / 8) ? "joining" : "formed");
  const clients = chance.chance(1 / 4) ? "connected" : "inside";
  const network = drawNetwork(chance.fork("network"));
  const disk = drawDisk(chance.fork("disk"));
  const drawn = [
    ...drawFaults(chance.fork("faults"), nodes, loadMs, allowed),
    ...drawCorruption(chance.fork("corruption"), nodes, loadMs, allowed),
  ].sort((a, b) => a.atMs - b.atMs);
  const faults = limitOutages(drawn, nodes, loadMs);
  return {
    seed: `${seed}`,
    nodes,
    spares,
    ringSize,
    start,
    clients,
    clientCount,
    operations: Array.from({ length: operations }, (_, number) => number),
    loadMs,
    network,
    disk: {
      ...disk,
      // A store that has lost its very first commit rightly refuses to start.
      liesAboutSync: start === "formed" && mayLie(faults) &&
        chance.fork("lies").chance(0.5),
    },
    faults,
    changes: [],
  };
}

/**
 * A cluster that changes its members, under load and with faults on old and new
 * ones.
 */
function drawMembership(
  seed: string | number,
  options: ScheduleOptions,
): Schedule {
  const chance = seededChance(`membership ${seed}`);
  const nodes = options.nodes ?? 1 + chance.below(4);
  const spares = options.spares ?? 1 + chance.below(3);
  const { ringSize = 8, operations = 60 } = options;
  checkRange("nodes", nodes, 1, 16);
  checkRange("spares", spares, 0, 16);
  checkRange("operations", operations, 0, 1_000_000);
  const clientCount = options.clients ?? 2 + chance.below(4);
  checkRange("clients", clientCount, 1, 1_000);
  const loadMs = options.loadMs ?? 6_000 + chance.below(10_000);
  const machines = nodes + spares;
  const changes = drawChanges(chance.fork("changes"), nodes, spares, loadMs);
  // A lost machine takes a copy with it; another one that fails would take the
  // last.
  const allowed = (options.faults ?? FAULT_TYPES).filter((type) =>
    type !== "bit_rot" || !losesMachine(changes)
  );
  const faults = chance.chance(1 / 8) ? [] : [
    ...drawFaults(chance.fork("faults"), machines, loadMs, allowed),
    ...drawFaultsBesideChanges(
      chance.fork("beside"),
      changes,
      allowed,
      (chance, type) => drawFault(chance, type, machines, loadMs),
    ),
    ...drawCorruption(chance.fork("corruption"), machines, loadMs, allowed),
  ].map((fault) => isOfDisk(fault) ? shortened(fault) : fault)
    .sort((a, b) => a.atMs - b.atMs);
  const disk = drawDisk(chance.fork("disk"));
  return {
    seed: `${seed}`,
    nodes,
    spares,
    ringSize,
    start: options.start ?? "formed",
    clients: chance.chance(1 / 4) ? "connected" : "inside",
    clientCount,
    operations: Array.from({ length: operations }, (_, number) => number),
    loadMs,
    network: drawNetwork(chance.fork("network")),
    disk,
    faults,
    changes,
  };
}

/**
 * Types of fault that do not apply to Raft groups: rot hits what the ring
 * stores, and members of the ring stay.
 */
const BESIDE_GROUPS: readonly FaultType[] = ["bit_rot", "declared_down"];

/** A Raft group under load, on a cluster whose nodes stay. */
function drawRaft(seed: string | number, options: ScheduleOptions): Schedule {
  const chance = seededChance(`raft ${seed}`);
  const nodes = options.nodes ?? chance.pick([3, 3, 5]);
  const { ringSize = 8, operations = 120 } = options;
  checkRange("nodes", nodes, 1, 16);
  checkRange("operations", operations, 0, 1_000_000);
  const clientCount = options.clients ?? 3 + chance.below(6);
  checkRange("clients", clientCount, 1, 1_000);
  const loadMs = options.loadMs ?? 3_000 + chance.below(7_000);
  const groups = drawGroups(chance, nodes, loadMs);
  const allowed = (options.faults ?? FAULT_TYPES)
    .filter((type) => !BESIDE_GROUPS.includes(type));
  const faults = chance.chance(1 / 8) ? [] : [
    ...drawFaults(chance.fork("faults"), nodes, loadMs, allowed),
    ...drawCorruption(chance.fork("corruption"), nodes, loadMs, allowed),
  ].sort((a, b) => a.atMs - b.atMs);
  return {
    seed: `${seed}`,
    nodes,
    spares: 0,
    ringSize,
    start: options.start ?? "formed",
    clients: chance.chance(1 / 4) ? "connected" : "inside",
    clientCount,
    operations: Array.from({ length: operations }, (_, number) => number),
    loadMs,
    network: drawNetwork(chance.fork("network")),
    disk: drawDisk(chance.fork("disk")),
    faults,
    changes: [],
    groups,
    raftLogs: drawLogSizes(chance.fork("logs")),
  };
}

/**
 * Draws the groups, which share three nodes or more: the first has all of them,
 * or three.
 */
function drawGroups(
  chance: Chance,
  nodes: number,
  loadMs: number,
): GroupPlan[] {
  const all = Array.from({ length: nodes }, (_, index) => index);
  // Five members, or three and nodes that may become members.
  const first = nodes >= 5 && chance.chance(0.5) ? all.slice(0, 3) : all;
  const more = chance.fork("groups");
  const memberships = [
    first,
    ...Array.from(
      { length: more.pick([0, 0, 1, 2]) },
      () => more.shuffle([...all]).slice(0, 3),
    ),
  ];
  const rotten = chance.fork("rot");
  const bounds = {
    nodes,
    loadMs,
    rotten: nodes >= 3 && rotten.chance(0.5) ? rotten.below(nodes) : undefined,
  };
  return memberships.map((members, number) => ({
    members,
    acts: drawActs(
      chance.fork(number === 0 ? "acts" : `acts ${number}`),
      members,
      bounds,
    ),
  }));
}

/**
 * Small enough for a short run to fill files and take snapshots on its own; or
 * the defaults.
 */
function drawLogSizes(chance: Chance): RaftLogSizes {
  return {
    walBytesMax: chance.pick([4_096, 4_096, 16_384, 64 * 1024 * 1024]),
    segmentEntriesMax: chance.pick([16, 16, 64, 4_096]),
    snapshotEntriesMin: chance.pick([24, 60, 65_536]),
  };
}

/** Whether it keeps a node from writing. */
function isOfDisk({ type }: PlannedFault): boolean {
  return type === "disk_full" || type === "disk_errors";
}

/**
 * A cluster may have one member, which must be able to write most of the time.
 */
function shortened(fault: PlannedFault): PlannedFault {
  return { ...fault, forMs: Math.min(fault.forMs, DISK_FAULT_MS_MAX) };
}

/**
 * Whether disks may lie about syncs without losing anything acknowledged: at
 * most one machine loses power, including the machine with bit rot.
 */
function mayLie(faults: readonly PlannedFault[]): boolean {
  const harmed = new Set(
    faults.flatMap((fault) =>
      fault.type === "power_loss" || fault.type === "bit_rot"
        ? [fault.node]
        : []
    ),
  );
  return harmed.size === 1;
}

function checkRange(
  name: string,
  value: number,
  min: number,
  max: number,
): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot draw a schedule as '${name}' must be a whole number from ${min} to ${max}: current value is ${value}`,
  );
}

function drawNetwork(chance: Chance): NetworkWeather {
  const delayMsMin = chance.pick([0.05, 0.1, 0.5, 2]);
  const bad = chance.chance(0.5);
  return {
    delayMsMin,
    delayMsMax: delayMsMin * chance.pick([1, 2, 5, 20]),
    lossProbability: bad ? chance.pick([0, 0.01, 0.05, 0.2]) : 0,
    repeatProbability: bad ? chance.pick([0, 0.01, 0.1]) : 0,
    reorderProbability: bad ? chance.pick([0, 0.05, 0.3]) : 0,
  };
}

function drawDisk(chance: Chance): DiskWeather {
  const syncMsMin = chance.pick([0.05, 0.2, 1]);
  return {
    syncMsMin,
    syncMsMax: syncMsMin * chance.pick([1, 3, 20]),
    liesAboutSync: false,
  };
}

function drawFaults(
  chance: Chance,
  nodes: number,
  loadMs: number,
  allowed: readonly FaultType[],
): PlannedFault[] {
  const types = allowed.filter((type) =>
    type !== "corrupt_link" &&
    (nodes > 1 ||
      !["partition", "slow_link", "reset", "declared_down"].includes(type))
  );
  if (types.length === 0) return [];
  // At least one type stays, or the run would prove nothing.
  const kept = chance.pick(types);
  const enabled = types.filter((type) => type === kept || chance.chance(0.4));
  // Rot on two machines may hit both copies of what two have acknowledged,
  // which nobody promises to survive.
  const rotten = chance.below(nodes);
  const full = new Set<number>();
  const faults: PlannedFault[] = [];
  for (let left = 1 + chance.below(5); left > 0; left--) {
    const fault = drawFault(chance, chance.pick(enabled), nodes, loadMs);
    if (fault.type === "bit_rot") faults.push({ ...fault, node: rotten });
    else if (fault.type === "disk_full") {
      // With every disk full nothing is written, which proves nothing.
      const last = !full.has(fault.node) && full.size === nodes - 1;
      const node = last ? [...full][0] ?? fault.node : fault.node;
      full.add(node);
      faults.push({ ...fault, node });
    } else faults.push(fault);
  }
  return faults;
}

/**
 * Drawn after the other faults and separately: it was added later, and leaves
 * the other draws of a seed unchanged.
 */
function drawCorruption(
  chance: Chance,
  nodes: number,
  loadMs: number,
  allowed: readonly FaultType[],
): PlannedFault[] {
  if (nodes === 1 || !allowed.includes("corrupt_link")) return [];
  if (allowed.length > 1 && !chance.chance(1 / 8)) return [];
  return [drawFault(chance, "corrupt_link", nodes, loadMs)];
}

function drawFault(
  chance: Chance,
  type: FaultType,
  nodes: number,
  loadMs: number,
): PlannedFault {
  const at = {
    atMs: chance.below(Math.max(1, Math.floor(loadMs * 0.9))),
    forMs: chance.pick([5, 50, 300, 1_000, 2_500, 5_000]) *
      (0.5 + chance.next()),
  };
  const node = chance.below(nodes);
  const other = nodes < 2 ? node : (node + 1 + chance.below(nodes - 1)) % nodes;
  switch (type) {
    case "kill":
    case "power_loss":
    case "pause":
    case "disk_full":
    case "bit_rot":
      return { ...at, type, node };
    case "declared_down":
      return { ...at, type, node, cut: chance.chance(0.3) };
    case "partition":
      return {
        ...at,
        type,
        ...drawSides(chance, nodes),
        oneWay: chance.chance(0.3),
        break: chance.chance(0.3),
      };
    case "slow_link":
      return {
        ...at,
        type,
        from: node,
        to: other,
        delayMs: chance.pick([10, 100, 800, 3_000]),
      };
    case "corrupt_link":
      return {
        ...at,
        type,
        from: node,
        to: other,
        probability: chance.pick([0.005, 0.05, 0.5]),
      };
    case "reset":
      return { ...at, type, from: node, to: other };
    case "clock_jump":
      return {
        ...at,
        type,
        node,
        byMs: chance.pick([-86_400_000, -5_000, 5_000, 86_400_000]),
      };
    case "disk_errors":
      return { ...at, type, node, probability: chance.pick([0.02, 0.2, 1]) };
    case "slow_disk":
      return { ...at, type, node, delayMs: chance.pick([20, 200, 2_000]) };
  }
}

/**
 * All pairs, majority and minority, one isolated node, or a single pair (a
 * partial partition).
 */
function drawSides(
  chance: Chance,
  nodes: number,
): { from: readonly number[]; to: readonly number[] } {
  const order = chance.shuffle(Array.from({ length: nodes }, (_, i) => i));
  if (chance.chance(0.3)) {
    return { from: order.slice(0, 1), to: order.slice(1, 2) };
  }
  const cut = 1 + chance.below(nodes - 1);
  return { from: order.slice(0, cut), to: order.slice(cut) };
}
