/**
 * Which smaller schedules to try, one after the other, until none is left that
 * still fails: fewer faults, operations, clients and nodes, shorter times,
 * calmer weather. Lists are shrunk by delta debugging (Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input", 2002), largest pieces
 * first, and everything is repeated until a round shrinks nothing.
 *
 * This file only decides. It is a generator: it yields a schedule to try, and
 * is told whether that one fails too; `shrink.ts` runs them. Whatever is kept
 * is shorter, or has one more value at its calmest, and nothing goes the other
 * way, so it ends.
 *
 * @module
 */
import { RING_SIZE_MIN } from "../../ring/chash.ts";
import type {
  DiskWeather,
  GroupPlan,
  NetworkWeather,
  PlannedAct,
  PlannedChange,
  PlannedFault,
  Schedule,
} from "./schedule.ts";

/** Durations are not halved below this, in virtual milliseconds. */
const DURATION_MS_MIN = 1;
/**
 * Most remaining operations for which removing one is combined with nudging
 * faults.
 */
const NUDGED_OPERATIONS_MAX = 30;
/** By how much a fault is moved, in virtual milliseconds. */
const NUDGES_MS = [-1, 1, -5, 5, -25, 25];

/**
 * Yields schedules to try; answer each with whether it fails in the same way.
 * Returns the smallest that does.
 */
export type Candidates<Smallest = Schedule> = Generator<
  Schedule,
  Smallest,
  boolean
>;

/** Tries everything smaller than `failing`. */
export function* shrinkCandidates(failing: Schedule): Candidates {
  let smallest = failing;
  for (;;) {
    const before = smallest;
    // What costs the most to read goes first; fewer faults and operations also
    // speed up the following runs.
    smallest = yield* fewerFaults(smallest);
    smallest = yield* fewerChanges(smallest);
    smallest = yield* fewerActs(smallest);
    smallest = yield* fewerOperations(smallest);
    smallest = yield* fewerNodes(smallest);
    smallest = yield* simpler(smallest);
    if (smallest === before) smallest = yield* withNudge(smallest);
    if (smallest === before) return smallest;
  }
}

function fewerFaults(schedule: Schedule): Candidates {
  return fewer(
    schedule,
    schedule.faults,
    (faults) => ({ ...schedule, faults }),
  );
}

function fewerChanges(schedule: Schedule): Candidates {
  return fewer(
    schedule,
    schedule.changes,
    (changes) => ({ ...schedule, changes }),
  );
}

function* fewerActs(schedule: Schedule): Candidates {
  let smallest = schedule;
  for (let number = (schedule.groups?.length ?? 0) - 1; number >= 0; number--) {
    const { groups } = smallest;
    if (groups === undefined) break;
    // From last to first, so that earlier groups keep their names.
    const without = { ...smallest, groups: groups.toSpliced(number, 1) };
    if (groups.length > 1 && (yield without)) {
      smallest = without;
      continue;
    }
    const group = groups[number] as GroupPlan;
    const from = smallest;
    smallest = yield* fewer(
      from,
      group.acts,
      (acts) => ({ ...from, groups: groups.with(number, { ...group, acts }) }),
    );
  }
  return smallest;
}

function* fewerOperations(schedule: Schedule): Candidates {
  // Everything after the failure goes at once, in few runs.
  let smallest = schedule;
  for (;;) {
    const { operations } = smallest;
    const half = withOperations(
      smallest,
      operations.slice(0, operations.length >> 1),
    );
    if (operations.length < 2 || !(yield half)) break;
    smallest = half;
  }
  const from = smallest;
  smallest = yield* fewer(
    from,
    from.operations,
    (operations) => withOperations(from, operations),
  );
  // The load may have to last until a fault that comes after all operations.
  const left = smallest;
  return yield* fewer(
    left,
    left.operations,
    (operations) => ({ ...left, operations }),
  );
}

/**
 * `schedule` with some of its operations, each at its original time: they are
 * spread over the load by their numbers, so the load is shortened to end after
 * the last one.
 */
export function withOperations(
  schedule: Schedule,
  operations: readonly number[],
): Schedule {
  const before = schedule.operations.at(-1) ?? 0;
  const now = operations.at(-1) ?? before;
  const loadMs = schedule.loadMs * (now + 1) / (before + 1);
  return withLoad({ ...schedule, operations }, loadMs);
}

/**
 * `schedule` with that length of load. Drops what would happen after the load,
 * when a cluster must settle.
 */
export function withLoad(schedule: Schedule, loadMs: number): Schedule {
  const faults = schedule.faults.filter(({ atMs }) => atMs < loadMs);
  const changes = schedule.changes.filter(({ atMs }) => atMs < loadMs);
  return {
    ...schedule,
    loadMs,
    faults,
    changes,
    ...withActs(
      schedule,
      (group) => ({
        ...group,
        acts: group.acts.filter(({ atMs }) => atMs < loadMs),
      }),
    ),
  };
}

/** `schedule` with its groups mapped by `change`, if it has any. */
function withActs(
  { groups }: Schedule,
  change: (group: GroupPlan) => GroupPlan,
): Pick<Schedule, "groups"> {
  return groups === undefined ? {} : { groups: groups.map(change) };
}

/**
 * Without one operation, and with a fault a little earlier or later. Without
 * the operation the others run a little earlier, so that a fault that hit at
 * the right moment would miss it.
 */
function* withNudge(schedule: Schedule): Candidates {
  const { operations, faults } = schedule;
  if (operations.length > NUDGED_OPERATIONS_MAX) return schedule;
  for (let left = 0; left < operations.length; left++) {
    const fewer = operations.toSpliced(left, 1);
    for (const [index, fault] of faults.entries()) {
      for (const byMs of NUDGES_MS) {
        const atMs = Math.max(0, fault.atMs + byMs);
        const candidate = {
          ...schedule,
          operations: fewer,
          faults: faults.with(index, { ...fault, atMs }),
        };
        if (atMs < schedule.loadMs && (yield candidate)) return candidate;
      }
    }
  }
  return schedule;
}

/** ddmin: a list from which no single entry can be removed. */
function* fewer<Item>(
  schedule: Schedule,
  items: readonly Item[],
  withItems: (items: readonly Item[]) => Schedule,
): Candidates {
  if (items.length === 0) return schedule;
  const none = withItems([]);
  if (yield none) return none;
  let smallest = schedule;
  let left = items;
  let pieces = 2;
  while (left.length > 1) {
    const size = Math.ceil(left.length / pieces);
    let found: readonly Item[] | undefined;
    for (
      let from = 0;
      from < left.length && found === undefined;
      from += size
    ) {
      const without = [...left.slice(0, from), ...left.slice(from + size)];
      const candidate = withItems(without);
      if (yield candidate) {
        found = without;
        smallest = candidate;
      }
    }
    if (found !== undefined) {
      left = found;
      pieces = Math.max(2, pieces - 1);
    } else if (size === 1) break;
    else pieces = Math.min(left.length, pieces * 2);
  }
  return smallest;
}

function* fewerNodes(schedule: Schedule): Candidates {
  let smallest = schedule;
  // From last to first, so that earlier nodes keep their numbers.
  for (let node = smallest.nodes + smallest.spares - 1; node >= 0; node--) {
    if (node < smallest.nodes && smallest.nodes === 1) break;
    const candidate = withoutNode(smallest, node);
    if (!isWhole(candidate)) continue;
    if (yield candidate) smallest = candidate;
  }
  return smallest;
}

/**
 * Whether each group has a member, and enough of them if a log is damaged:
 * otherwise that would be the failure.
 */
function isWhole({ groups = [] }: Schedule): boolean {
  const rots = groups.some(({ acts }) =>
    acts.some(({ type }) => type === "log_rot")
  );
  return groups.every(({ members }) => members.length >= (rots ? 3 : 1));
}

/**
 * `schedule` without the machine `node`: later ones are renumbered, and faults
 * and changes that name it are dropped.
 */
export function withoutNode(schedule: Schedule, node: number): Schedule {
  const moved = (other: number): number => other > node ? other - 1 : other;
  const side = (nodes: readonly number[]): number[] =>
    nodes.filter((other) => other !== node).map(moved);
  const faults = schedule.faults.flatMap((fault): PlannedFault[] => {
    switch (fault.type) {
      case "partition": {
        const [from, to] = [side(fault.from), side(fault.to)];
        return from.length === 0 || to.length === 0
          ? []
          : [{ ...fault, from, to }];
      }
      case "slow_link":
      case "corrupt_link":
      case "reset":
        return fault.from === node || fault.to === node
          ? []
          : [{ ...fault, from: moved(fault.from), to: moved(fault.to) }];
      default:
        return fault.node === node
          ? []
          : [{ ...fault, node: moved(fault.node) }];
    }
  });
  const changes = schedule.changes.flatMap((change): PlannedChange[] => {
    if (change.type === "clear") return [change];
    const named = { ...change, node: moved(change.node) };
    if (!("by" in change)) return change.node === node ? [] : [named];
    return change.node === node || change.by === node
      ? []
      : [{ ...named, by: moved(change.by) } as PlannedChange];
  });
  const gone = node < schedule.nodes
    ? { nodes: schedule.nodes - 1 }
    : { spares: schedule.spares - 1 };
  return {
    ...schedule,
    ...gone,
    faults,
    changes,
    ...withActs(schedule, ({ members, acts }) => ({
      members: side(members),
      acts: acts.flatMap((act): PlannedAct[] => {
        if (!("node" in act)) return [act];
        return act.node === node ? [] : [{ ...act, node: moved(act.node) }];
      }),
    })),
  };
}

/** One simplification at a time, each repeated for as long as it helps. */
function* simpler(schedule: Schedule): Candidates {
  let smallest = schedule;
  for (const simplify of SIMPLIFICATIONS) {
    for (;;) {
      const candidate = simplify(smallest);
      if (candidate === undefined || !(yield candidate)) break;
      smallest = candidate;
    }
  }
  for (let index = 0; index < smallest.faults.length; index++) {
    for (const simplify of FAULT_SIMPLIFICATIONS) {
      for (;;) {
        const fault = simplify(smallest.faults[index] as PlannedFault);
        if (fault === undefined) break;
        const candidate = {
          ...smallest,
          faults: smallest.faults.with(index, fault),
        };
        if (!(yield candidate)) break;
        smallest = candidate;
      }
    }
  }
  return smallest;
}

/** The next simpler value, or undefined if there is none. */
type Simplify<Value> = (value: Value) => Value | undefined;

const CALM_NETWORK: NetworkWeather = {
  delayMsMin: 1,
  delayMsMax: 1,
  lossProbability: 0,
  repeatProbability: 0,
  reorderProbability: 0,
};
const CALM_DISK: DiskWeather = {
  syncMsMin: 1,
  syncMsMax: 1,
  liesAboutSync: false,
};

const SIMPLIFICATIONS: readonly Simplify<Schedule>[] = [
  (schedule) =>
    schedule.start === "formed" ? undefined : { ...schedule, start: "formed" },
  (schedule) =>
    schedule.clients === "inside"
      ? undefined
      : { ...schedule, clients: "inside" },
  (schedule) =>
    schedule.clientCount === 1 ? undefined : { ...schedule, clientCount: 1 },
  (schedule) =>
    schedule.clientCount <= 2
      ? undefined
      : { ...schedule, clientCount: schedule.clientCount - 1 },
  (schedule) =>
    schedule.ringSize / 2 < RING_SIZE_MIN
      ? undefined
      : { ...schedule, ringSize: schedule.ringSize / 2 },
  calmer("network", CALM_NETWORK),
  calmer("disk", CALM_DISK),
  ...fieldsOf(CALM_NETWORK).map((field) =>
    calmer("network", CALM_NETWORK, field)
  ),
  ...fieldsOf(CALM_DISK).map((field) => calmer("disk", CALM_DISK, field)),
  (schedule) => {
    const loadMs = halved(schedule.loadMs);
    return loadMs === undefined ? undefined : withLoad(schedule, loadMs);
  },
];

function fieldsOf<Weather extends object>(weather: Weather): (keyof Weather)[] {
  return Object.keys(weather) as (keyof Weather)[];
}

/** All weather calm, or one field of it. */
function calmer<Part extends "network" | "disk">(
  part: Part,
  calm: Schedule[Part],
  field?: keyof Schedule[Part],
): Simplify<Schedule> {
  return (schedule) => {
    const now = schedule[part];
    const weather = field === undefined
      ? calm
      : { ...now, [field]: calm[field] };
    const same = fieldsOf(now).every((field) => now[field] === weather[field]);
    return same || !isOrdered(weather)
      ? undefined
      : { ...schedule, [part]: weather };
  };
}

/** Whether the minimum is at most the maximum. */
function isOrdered(weather: NetworkWeather | DiskWeather): boolean {
  return "delayMsMin" in weather
    ? weather.delayMsMin <= weather.delayMsMax
    : weather.syncMsMin <= weather.syncMsMax;
}

const FAULT_SIMPLIFICATIONS: readonly Simplify<PlannedFault>[] = [
  (fault) => {
    const forMs = halved(fault.forMs);
    return forMs === undefined ? undefined : { ...fault, forMs };
  },
  (fault) =>
    Number.isInteger(fault.forMs)
      ? undefined
      : { ...fault, forMs: Math.floor(fault.forMs) },
  (fault) => {
    if (fault.type !== "slow_link" && fault.type !== "slow_disk") {
      return undefined;
    }
    const delayMs = halved(fault.delayMs);
    return delayMs === undefined ? undefined : { ...fault, delayMs };
  },
  (fault) => {
    if (fault.type !== "clock_jump") return undefined;
    const size = halved(Math.abs(fault.byMs));
    return size === undefined
      ? undefined
      : { ...fault, byMs: Math.sign(fault.byMs) * size };
  },
  (fault) =>
    fault.type === "partition" && fault.break
      ? { ...fault, break: false }
      : undefined,
  (fault) =>
    fault.type === "declared_down" && fault.cut
      ? { ...fault, cut: false }
      : undefined,
];

/**
 * Half of a duration in whole milliseconds; undefined if it is already short.
 */
function halved(ms: number): number | undefined {
  return ms >= 2 * DURATION_MS_MIN ? Math.floor(ms / 2) : undefined;
}
