/**
 * Schedules as JSON text, to keep beside a test, send to somebody, or edit by
 * hand. Decoding checks everything: a schedule with a fault of a missing node
 * would run, find nothing, and pass as proof.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import type { RaftLogSizes } from "../../raft/raft_log_sizes.ts";
import { FAULT_TYPES } from "./draw_schedule.ts";
import { CHANGE_TYPES } from "./draw_membership.ts";
import { ACT_TYPES, LEADER_FAULTS, LOG_PARTS } from "./draw_acts.ts";
import type {
  ActType,
  ChangeType,
  FaultType,
  GroupPlan,
  PlannedAct,
  PlannedChange,
  PlannedFault,
  Schedule,
} from "./schedule.ts";

/**
 * Version of the text. Version 1 had no `spares` and `changes`, and is read as
 * without any; version 2 had at most one Raft group, and rot only in its
 * write-ahead log. Others are refused.
 */
export const SCHEDULE_FORMAT = 3;

/** Most operations, faults, nodes or clients in a text; more is a mistake. */
export const SCHEDULE_LENGTH_MAX = 1_000_000;
/** Largest log size in a text. */
const SIZE_MAX = 1_000_000_000;

/**
 * `schedule` as text, ending in a line feed; equal schedules give equal text.
 */
export function encodeSchedule(schedule: Schedule): string {
  const { faults, changes, operations, groups, ...rest } = schedule;
  // Long lists have one line per entry, or one line in all, so that a diff of
  // two files shows what differs.
  const fields = Object.entries({ format: SCHEDULE_FORMAT, ...rest }).map((
    [name, value],
  ) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return `{\n${
    [
      ...fields,
      `  "operations": ${JSON.stringify(operations)}`,
      `  "faults": ${listText(faults)}`,
      `  "changes": ${listText(changes)}`,
      ...(groups === undefined
        ? []
        : [`  "groups": [\n${groups.map(groupText).join(",\n")}\n  ]`]),
    ].join(",\n")
  }\n}\n`;
}

function groupText({ members, acts }: GroupPlan): string {
  return `    { "members": ${JSON.stringify(members)}, "acts": ${
    listText(acts, "    ")
  } }`;
}

function listText(entries: readonly unknown[], indent = "  "): string {
  if (entries.length === 0) return "[]";
  const lines = entries.map((entry) => `${indent}  ${JSON.stringify(entry)}`);
  return `[\n${lines.join(",\n")}\n${indent}]`;
}

/**
 * Decodes a schedule.
 *
 * @throws {WhorlError} `invalid_argument` if it is not a schedule, naming the
 * place, the rule and the value found.
 */
export function decodeSchedule(text: string): Schedule {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot read schedule as it must be JSON: ${(cause as Error).message}`,
      { cause },
    );
  }
  return readSchedule(new Reader(value, ""));
}

function readSchedule(schedule: Reader): Schedule {
  const format = schedule.field("format").oneOf([1, 2, SCHEDULE_FORMAT]);
  const nodes = schedule.field("nodes").integer(1, SCHEDULE_LENGTH_MAX);
  const spares = format === 1
    ? 0
    : schedule.field("spares").integer(0, SCHEDULE_LENGTH_MAX);
  const machines = nodes + spares;
  const network = schedule.field("network");
  const disk = schedule.field("disk");
  const delayMsMin = network.field("delayMsMin").amount();
  const syncMsMin = disk.field("syncMsMin").amount();
  const read: Schedule = {
    seed: schedule.field("seed").text(),
    nodes,
    spares,
    ringSize: schedule.field("ringSize").integer(1, SCHEDULE_LENGTH_MAX),
    start: schedule.field("start").oneOf(["formed", "joining"]),
    clients: schedule.field("clients").oneOf(["inside", "connected"]),
    clientCount: schedule.field("clientCount").integer(1, SCHEDULE_LENGTH_MAX),
    operations: schedule.field("operations").list((number) =>
      number.integer(0, Number.MAX_SAFE_INTEGER)
    ),
    loadMs: schedule.field("loadMs").amount(),
    network: {
      delayMsMin,
      delayMsMax: network.field("delayMsMax").amount(delayMsMin),
      lossProbability: network.field("lossProbability").probability(),
      repeatProbability: network.field("repeatProbability").probability(),
      reorderProbability: network.field("reorderProbability").probability(),
    },
    disk: {
      syncMsMin,
      syncMsMax: disk.field("syncMsMax").amount(syncMsMin),
      liesAboutSync: disk.field("liesAboutSync").oneOf([true, false]),
    },
    faults: schedule.field("faults").list((fault) =>
      readFault(fault, machines)
    ),
    changes: format === 1
      ? []
      : schedule.field("changes").list((change) =>
        readChange(change, machines)
      ),
    ...(schedule.has("members")
      ? { groups: [readGroup(schedule, nodes, format)] }
      : {}),
    ...(schedule.has("groups")
      ? {
        groups: schedule.field("groups").list((group) => {
          const plan = readGroup(group, nodes, format);
          group.end();
          return plan;
        }),
      }
      : {}),
    ...(schedule.has("raftLogs")
      ? { raftLogs: readSizes(schedule.field("raftLogs")) }
      : {}),
  };
  network.end();
  disk.end();
  schedule.end();
  return read;
}

type FaultFields<Type extends FaultType> = Omit<
  Extract<PlannedFault, { type: Type }>,
  "type" | "atMs" | "forMs"
>;

/** Fields of each type of fault, besides its time. */
const FAULT_FIELDS: {
  readonly [Type in FaultType]: (
    fault: Reader,
    nodes: number,
  ) => FaultFields<Type>;
} = {
  kill: nodeOf,
  power_loss: nodeOf,
  pause: nodeOf,
  partition: (fault, nodes) => ({
    from: fault.field("from").list((node) => node.integer(0, nodes - 1)),
    to: fault.field("to").list((node) => node.integer(0, nodes - 1)),
    oneWay: fault.field("oneWay").oneOf([true, false]),
    break: fault.field("break").oneOf([true, false]),
  }),
  slow_link: (fault, nodes) => ({
    ...linkOf(fault, nodes),
    delayMs: fault.field("delayMs").amount(),
  }),
  corrupt_link: (fault, nodes) => ({
    ...linkOf(fault, nodes),
    probability: fault.field("probability").probability(),
  }),
  reset: linkOf,
  clock_jump: (fault, nodes) => ({
    ...nodeOf(fault, nodes),
    byMs: fault.field("byMs").number(),
  }),
  disk_full: nodeOf,
  disk_errors: (fault, nodes) => ({
    ...nodeOf(fault, nodes),
    probability: fault.field("probability").probability(),
  }),
  slow_disk: (fault, nodes) => ({
    ...nodeOf(fault, nodes),
    delayMs: fault.field("delayMs").amount(),
  }),
  bit_rot: nodeOf,
  declared_down: (fault, nodes) => ({
    ...nodeOf(fault, nodes),
    cut: fault.field("cut").oneOf([true, false]),
  }),
};

function readFault(fault: Reader, nodes: number): PlannedFault {
  const type = fault.field("type").oneOf(FAULT_TYPES);
  const read = {
    type,
    atMs: fault.field("atMs").amount(),
    forMs: fault.field("forMs").amount(),
    ...FAULT_FIELDS[type](fault, nodes),
  };
  fault.end();
  // The table pairs each type with its own fields, which the compiler cannot
  // follow.
  return read as PlannedFault;
}

type ChangeFields<Type extends ChangeType> = Omit<
  Extract<PlannedChange, { type: Type }>,
  "type" | "atMs"
>;

/** Fields of each type of change, besides its time. */
const CHANGE_FIELDS: {
  readonly [Type in ChangeType]: (
    change: Reader,
    nodes: number,
  ) => ChangeFields<Type>;
} = {
  join: (change, nodes) => ({ ...nodeOf(change, nodes), ...commitOf(change) }),
  leave: (change, nodes) => ({ ...nodeOf(change, nodes), ...commitOf(change) }),
  replace: (change, nodes) => ({
    ...nodeOf(change, nodes),
    ...byOf(change, nodes),
    ...commitOf(change),
  }),
  force_remove: nodeOf,
  force_replace: (change, nodes) => ({
    ...nodeOf(change, nodes),
    ...byOf(change, nodes),
  }),
  clear: () => ({}),
  transfer_limit: (change, nodes) => ({
    ...nodeOf(change, nodes),
    limit: change.field("limit").integer(0, 1_024),
    forMs: change.field("forMs").amount(),
  }),
  handoff_off: (change, nodes) => ({
    ...nodeOf(change, nodes),
    direction: change.field("direction").oneOf(["inbound", "outbound", "both"]),
    forMs: change.field("forMs").amount(),
  }),
};

function readChange(change: Reader, nodes: number): PlannedChange {
  const type = change.field("type").oneOf(CHANGE_TYPES);
  const read = {
    type,
    atMs: change.field("atMs").amount(),
    ...CHANGE_FIELDS[type](change, nodes),
  };
  change.end();
  // As for faults.
  return read as PlannedChange;
}

function readGroup(group: Reader, nodes: number, format: number): GroupPlan {
  return {
    members: group.field("members").list((node) => node.integer(0, nodes - 1)),
    acts: group.field("acts").list((act) => readAct(act, nodes, format)),
  };
}

function readSizes(sizes: Reader): RaftLogSizes {
  const read = {
    walBytesMax: sizes.field("walBytesMax").integer(1, SIZE_MAX),
    segmentEntriesMax: sizes.field("segmentEntriesMax").integer(1, SIZE_MAX),
    snapshotEntriesMin: sizes.field("snapshotEntriesMin").integer(1, SIZE_MAX),
  };
  sizes.end();
  return read;
}

type ActFields<Type extends ActType> = Omit<
  Extract<PlannedAct, { type: Type }>,
  "type" | "atMs"
>;

/** Fields of each type of act, besides its time. */
const ACT_FIELDS: {
  readonly [Type in ActType]: (
    act: Reader,
    nodes: number,
    format: number,
  ) => ActFields<Type>;
} = {
  add_member: (act, nodes) => ({
    ...nodeOf(act, nodes),
    kind: act.field("kind").oneOf(["voter", "non_voter"]),
  }),
  remove_member: nodeOf,
  transfer: nodeOf,
  snapshot: nodeOf,
  compact: nodeOf,
  leader_fault: (act) => ({
    how: act.field("how").oneOf(LEADER_FAULTS),
    forMs: act.field("forMs").amount(),
  }),
  log_rot: (act, nodes, format) => ({
    ...nodeOf(act, nodes),
    part: format < 3 ? "wal" : act.field("part").oneOf(LOG_PARTS),
    forMs: act.field("forMs").amount(),
  }),
  voter_fault: (act) => ({
    afterMs: act.field("afterMs").amount(),
    forMs: act.field("forMs").amount(),
  }),
};

function readAct(act: Reader, nodes: number, format: number): PlannedAct {
  const type = act.field("type").oneOf(ACT_TYPES);
  const read = {
    type,
    atMs: act.field("atMs").amount(),
    ...ACT_FIELDS[type](act, nodes, format),
  };
  act.end();
  // As for faults.
  return read as PlannedAct;
}

function byOf(change: Reader, nodes: number): { readonly by: number } {
  return { by: change.field("by").integer(0, nodes - 1) };
}

function commitOf(change: Reader): { readonly commit: boolean } {
  return { commit: change.field("commit").oneOf([true, false]) };
}

function nodeOf(fault: Reader, nodes: number): { readonly node: number } {
  return { node: fault.field("node").integer(0, nodes - 1) };
}

function linkOf(
  fault: Reader,
  nodes: number,
): { readonly from: number; readonly to: number } {
  return {
    from: fault.field("from").integer(0, nodes - 1),
    to: fault.field("to").integer(0, nodes - 1),
  };
}

/** A value and its path in the text. */
class Reader {
  readonly #value: unknown;
  readonly #place: string;
  readonly #taken = new Set<string>();

  constructor(value: unknown, place: string) {
    this.#value = value;
    this.#place = place;
  }

  field(name: string): Reader {
    const value = this.#record()[name];
    this.#taken.add(name);
    return new Reader(
      value,
      this.#place === "" ? name : `${this.#place}.${name}`,
    );
  }

  has(name: string): boolean {
    return name in this.#record();
  }

  /**
   * Refuses unknown fields: a fault with a misspelt field would be a different
   * fault.
   */
  end(): void {
    for (const name of Object.keys(this.#record())) {
      if (!this.#taken.has(name)) {
        throw this.field(name).#refuse("not be there, nothing has that name");
      }
    }
  }

  list<Item>(read: (item: Reader) => Item): Item[] {
    const value = this.#value;
    if (!Array.isArray(value) || value.length > SCHEDULE_LENGTH_MAX) {
      throw this.#refuse(`be a list of at most ${SCHEDULE_LENGTH_MAX}`);
    }
    return value.map((item, index) =>
      read(new Reader(item, `${this.#place}[${index}]`))
    );
  }

  text(): string {
    if (typeof this.#value !== "string") throw this.#refuse("be a text");
    return this.#value;
  }

  number(): number {
    if (!Number.isFinite(this.#value)) throw this.#refuse("be a number");
    return this.#value as number;
  }

  integer(min: number, max: number): number {
    const value = this.#value as number;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw this.#refuse(`be a whole number from ${min} to ${max}`);
    }
    return value;
  }

  amount(min = 0): number {
    const value = this.#value as number;
    if (!Number.isFinite(value) || value < min) {
      throw this.#refuse(`be a number of at least ${min}`);
    }
    return value;
  }

  probability(): number {
    const value = this.#value as number;
    if (!(Number.isFinite(value) && value >= 0 && value <= 1)) {
      throw this.#refuse("be a number from 0 to 1");
    }
    return value;
  }

  oneOf<const Choice>(choices: readonly Choice[]): Choice {
    const found = choices.find((choice) => choice === this.#value);
    if (found === undefined) {
      throw this.#refuse(
        `be one of ${
          choices.map((choice) => JSON.stringify(choice)).join(", ")
        }`,
      );
    }
    return found;
  }

  #record(): Record<string, unknown> {
    const value = this.#value;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.#refuse("be an object");
    }
    return value as Record<string, unknown>;
  }

  #refuse(rule: string): WhorlError {
    const value = JSON.stringify(this.#value) ?? "nothing";
    const shown = value.length > 60 ? `${value.slice(0, 60)}…` : value;
    return new WhorlError(
      "invalid_argument",
      `Cannot read schedule as ${
        this.#place === "" ? "it" : this.#place
      } must ${rule}: current value is ${shown}`,
      { details: { place: this.#place } },
    );
  }
}
