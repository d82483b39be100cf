import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../base/errors.ts";
import { FAULT_TYPES } from "./draw_schedule.ts";
import { decodeSchedule, encodeSchedule } from "./schedule_codec.ts";
import type { PlannedFault, Schedule } from "./schedule.ts";

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
const schedule: Schedule = {
  seed: "17",
  nodes: 3,
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
};

Deno.test("decodeSchedule() undoes encodeSchedule() for every kind of fault", () => {
  assertEquals(faults.map(({ type }) => type), [...FAULT_TYPES]);
  assertEquals(decodeSchedule(encodeSchedule(schedule)), schedule);
  const bare = { ...schedule, faults: [], operations: [] };
  assertEquals(decodeSchedule(encodeSchedule(bare)), bare);
});

Deno.test("encodeSchedule() gives a fault a line", () => {
  const lines = encodeSchedule(schedule).split("\n");
  assertEquals(
    lines.filter((line) => line.includes('"type"')).length,
    faults.length,
  );
});

Deno.test("decodeSchedule() names the place, the rule and the value of a mistake", () => {
  const text = encodeSchedule(schedule);
  const cases: [string, string][] = [
    ["{", "it must be JSON"],
    ["[]", "it must be an object: current value is []"],
    ["{}", "format must be one of 1: current value is nothing"],
    [
      text.replace('"nodes": 3', '"nodes": 2'),
      "faults[1].node must be a whole number from 0 to 1: current value is 2",
    ],
    [
      text.replace('"to":[1,2]', '"to":[1,3]'),
      "faults[3].to[1] must be a whole number from 0 to 2: current value is 3",
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
