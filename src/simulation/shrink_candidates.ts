/**
 * Which smaller schedules to try, one after the other, until none is left that
 * still fails: fewer faults, operations, clients and nodes, shorter times,
 * calmer weather. Lists are cut by delta debugging (Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input", 2002), largest pieces
 * first, and all of it is repeated until a round has made nothing smaller.
 *
 * This file only decides. It is a generator: it gives a schedule to try, and
 * takes whether that one fails as well; `shrink.ts` runs them. Whatever is kept
 * is shorter, or has one more of its values at rest, and nothing goes the other
 * way, so it ends.
 *
 * @module
 */
import type {
  DiskWeather,
  NetworkWeather,
  PlannedFault,
  Schedule,
} from "./schedule.ts";

/** Smallest ring to try; the node refuses smaller ones. */
const RING_SIZE_MIN = 8;
/** Virtual milliseconds below which a duration is not halved any more. */
const DURATION_MS_MIN = 1;

/** Schedules to try; answer each with whether it fails in the same way. Returns the smallest that does. */
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
    // make the runs that follow faster.
    smallest = yield* fewerFaults(smallest);
    smallest = yield* fewerOperations(smallest);
    smallest = yield* fewerNodes(smallest);
    smallest = yield* simpler(smallest);
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

function* fewerOperations(schedule: Schedule): Candidates {
  // What came after the failure goes at once, in few runs.
  let smallest = schedule;
  for (;;) {
    const { operations } = smallest;
    const half = {
      ...smallest,
      operations: operations.slice(0, operations.length >> 1),
    };
    if (operations.length < 2 || !(yield half)) break;
    smallest = half;
  }
  return yield* fewer(
    smallest,
    smallest.operations,
    (operations) => ({ ...smallest, operations }),
  );
}

/** ddmin: a list from which no single entry can be taken any more. */
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
  // From the last to the first, so that those before keep their numbers.
  for (let node = smallest.nodes - 1; node >= 0 && smallest.nodes > 1; node--) {
    const candidate = withoutNode(smallest, node);
    if (yield candidate) smallest = candidate;
  }
  return smallest;
}

/** `schedule` without `node`: later ones move up, and faults that name it alone are dropped. */
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
  return { ...schedule, nodes: schedule.nodes - 1, faults };
}

/** One change at a time, each repeated for as long as it helps. */
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

/** The next simpler one, or undefined if there is none. */
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
    return loadMs === undefined ? undefined : { ...schedule, loadMs };
  },
];

function fieldsOf<Weather extends object>(weather: Weather): (keyof Weather)[] {
  return Object.keys(weather) as (keyof Weather)[];
}

/** All of the weather calm, or one field of it. */
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

/** Whether the shortest is no longer than the longest. */
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
];

/** Half of a duration in whole milliseconds; undefined if it is short already. */
function halved(ms: number): number | undefined {
  return ms >= 2 * DURATION_MS_MIN ? Math.floor(ms / 2) : undefined;
}
