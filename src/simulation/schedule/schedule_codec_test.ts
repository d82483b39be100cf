import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../base/errors.ts";
import { ACT_TYPES, CHANGE_TYPES, FAULT_TYPES } from "./draw_schedule.ts";
import { decodeSchedule, encodeSchedule } from "./schedule_codec.ts";
import type {
  PlannedAct,
  PlannedChange,
  PlannedFault,
  Schedule,
} from "./schedule.ts";

const at = { atMs: 10.5, forMs: 200 };
const faults: readonly PlannedFault[] = [
  { ...at, type: "kill", node: 0 },
  { ...at, type: "power_loss", node: 2 },
  { ...at, type: "pause", node: 1 },
  {
    ...at,
    type: "partition",
    from: [0],
    to: [1, 2],
    oneWay: true,
    break: false,
  },
  { ...at, type: "slow_link", from: 0, to: 1, delayMs: 50 },
  { ...at, type: "corrupt_link", from: 2, to: 0, probability: 0.05 },
  { ...at, type: "reset", from: 1, to: 0 },
  { ...at, type: "clock_jump", node: 0, byMs: -5_000 },
  { ...at, type: "disk_full", node: 0 },
  { ...at, type: "disk_errors", node: 0, probability: 0.25 },
  { ...at, type: "slow_disk", node: 0, delayMs: 80 },
  { ...at, type: "bit_rot", node: 0 },
  { ...at, type: "declared_down", node: 1, cut: true },
];
const changes: readonly PlannedChange[] = [
  { atMs: 1, type: "join", node: 3, commit: true },
  { atMs: 2, type: "leave", node: 0, commit: false },
  { atMs: 3, type: "replace", node: 1, by: 4, commit: true },
  { atMs: 4, type: "force_remove", node: 2 },
  { atMs: 5, type: "force_replace", node: 3, by: 0 },
  { atMs: 6, type: "clear" },
  { atMs: 7, type: "transfer_limit", node: 0, limit: 0, forMs: 100 },
  { atMs: 8, type: "handoff_off", node: 4, direction: "both", forMs: 0.5 },
];
const schedule: Schedule = {
  seed: "17",
  nodes: 3,
  spares: 2,
  ringSize: 8,
  start: "formed",
  clients: "connected",
  clientCount: 2,
  operations: [0, 1, 5],
  loadMs: 4_000,
  network: {
    delayMsMin: 0.5,
    delayMsMax: 4,
    lossProbability: 0.01,
    repeatProbability: 0,
    reorderProbability: 0,
  },
  disk: { syncMsMin: 1, syncMsMax: 2, liesAboutSync: false },
  faults,
  changes,
};

Deno.test("decodeSchedule() undoes encodeSchedule() for every type of fault and change", () => {
  assertEquals(faults.map(({ type }) => type), [...FAULT_TYPES]);
  assertEquals(decodeSchedule(encodeSchedule(schedule)), schedule);
  assertEquals(changes.map(({ type }) => type), [...CHANGE_TYPES]);
  const bare = { ...schedule, faults: [], changes: [], operations: [] };
  assertEquals(decodeSchedule(encodeSchedule(bare)), bare);
});

Deno.test("decodeSchedule() reads version 1, which has no changes", () => {
  const members = { ...schedule, spares: 0, changes: [] };
  const text = encodeSchedule(members)
    .replace('"format": 3', '"format": 1')
    .replace('  "spares": 0,\n', "")
    .replace(',\n  "changes": []', "");
  assert(!text.includes("changes") && !text.includes("spares"));
  assertEquals(decodeSchedule(text), members);
});

Deno.test("encodeSchedule() writes one line per fault or change", () => {
  const lines = encodeSchedule(schedule).split("\n");
  assertEquals(
    lines.filter((line) => line.includes('"type"')).length,
    faults.length + changes.length,
  );
});

Deno.test("decodeSchedule() reports the place, the rule and the value of an error", () => {
  const text = encodeSchedule(schedule);
  const cases: [string, string][] = [
    ["{", "it must be JSON"],
    ["[]", "it must be an object: current value is []"],
    ["{}", "format must be one of 1, 2, 3: current value is nothing"],
    [
      text.replace('"nodes": 3', '"nodes": 2'),
      "changes[2].by must be a whole number from 0 to 3: current value is 4",
    ],
    [
      text.replace('"commit":false', '"commit":0'),
      "changes[1].commit must be one of true, false: current value is 0",
    ],
    [
      text.replace('"to":[1,2]', '"to":[1,5]'),
      "faults[3].to[1] must be a whole number from 0 to 4: current value is 5",
    ],
    [
      text.replace('"probability":0.25', '"probability":25'),
      "faults[9].probability must be a number from 0 to 1: current value is 25",
    ],
    [text.replace('"bit_rot"', '"rot"'), "faults[11].type must be one of"],
    [
      text.replace('"bit_rot"', '"bit_rot","speed":1'),
      "faults[11].speed must not be there",
    ],
    [
      text.replace('"delayMsMax":4', '"delayMsMax":0.1'),
      "network.delayMsMax must be a number of at least 0.5",
    ],
    [
      text.replace("[0,1,5]", "[0,-1]"),
      "operations[1] must be a whole number",
    ],
    [
      text.replace('"liesAboutSync":false', '"liesAboutSync":0'),
      "disk.liesAboutSync must be one of true, false: current value is 0",
    ],
  ];
  for (const [changed, message] of cases) {
    const error = assertThrows(() => decodeSchedule(changed), WhorlError);
    assertEquals(error.code, "invalid_argument");
    assertEquals(
      error.message.startsWith(`Cannot read schedule as ${message}`),
      true,
      error.message,
    );
  }
});

Deno.test("decodeSchedule() reads back a Raft group with every type of act", () => {
  const acts: readonly PlannedAct[] = [
    { atMs: 1, type: "add_member", node: 2, kind: "non_voter" },
    { atMs: 2, type: "remove_member", node: 0 },
    { atMs: 3, type: "transfer", node: 1 },
    { atMs: 4, type: "snapshot", node: 1 },
    { atMs: 5, type: "compact", node: 2 },
    { atMs: 6, type: "leader_fault", how: "deaf", forMs: 10 },
    { atMs: 7, type: "voter_fault", afterMs: 0.25, forMs: 10 },
    { atMs: 8, type: "log_rot", node: 0, part: "segment", forMs: 10 },
  ];
  assertEquals(new Set(acts.map(({ type }) => type)), new Set(ACT_TYPES));
  const raftLogs = {
    walBytesMax: 4_096,
    segmentEntriesMax: 16,
    snapshotEntriesMin: 24,
  };
  const groups = [{ members: [0, 1], acts }, { members: [2], acts: [] }];
  const grouped = { ...schedule, groups, raftLogs };
  const text = encodeSchedule(grouped);
  assertEquals(decodeSchedule(text), grouped);
  assertEquals(decodeSchedule(encodeSchedule(schedule)).groups, undefined);
  assertThrows(
    () => decodeSchedule(text.replace('"deaf"', '"dumb"')),
    WhorlError,
    "groups[0].acts[5].how must be one of",
  );
  assertThrows(
    () => decodeSchedule(text.replace('"members": [0,1]', '"members": [0,3]')),
    WhorlError,
    "groups[0].members[1] must be",
  );
});

Deno.test("decodeSchedule() reads version 2, which has one Raft group, whose write-ahead log alone rots", () => {
  const text = encodeSchedule(schedule)
    .replace('"format": 3', '"format": 2')
    .replace(
      /\n}\n$/,
      `,
  "members": [0,1,2],
  "acts": [{"atMs":8,"type":"log_rot","node":0,"forMs":10}]
}
`,
    );
  assertEquals(decodeSchedule(text).groups, [{
    members: [0, 1, 2],
    acts: [{ atMs: 8, type: "log_rot", node: 0, part: "wal", forMs: 10 }],
  }]);
});
