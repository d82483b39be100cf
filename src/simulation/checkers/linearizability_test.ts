import { assert, assertEquals, assertThrows } from "@std/assert";
import type { OperationRecord } from "../history.ts";
import {
  checkLinearizability,
  linearizabilityViolations,
} from "./linearizability.ts";
import {
  type CasRegisterInput,
  casRegisterModel,
  type CasRegisterOutput,
  registerModel,
} from "./register_model.ts";
import { UNDECIDED, type Violation } from "./violation.ts";

type Row = readonly [
  client: string,
  from: number,
  to: number | "unknown" | "failed",
  input: CasRegisterInput,
  output?: CasRegisterOutput,
];
type Operation = OperationRecord<CasRegisterInput, CasRegisterOutput>;

const get: CasRegisterInput = { type: "get" };
const remove: CasRegisterInput = { type: "delete" };
const put = (value: number): CasRegisterInput => ({ type: "put", value });
const cas = (expected: number | null, value: number): CasRegisterInput => ({
  type: "cas",
  expected,
  value,
});

function historyOf(rows: readonly Row[], key = "k"): Operation[] {
  return rows.map(([client, from, to, input, output], id) => ({
    id,
    client,
    key,
    input,
    invokedAtMs: from,
    returnedAtMs: to === "unknown" ? undefined : to === "failed" ? from : to,
    outcome: typeof to === "number" ? "ok" as const : to,
    output: typeof to === "number" ? output ?? null : undefined,
    error: undefined,
  }));
}

function check(rows: readonly Row[], stepsMax?: number) {
  return checkLinearizability(historyOf(rows), casRegisterModel, { stepsMax });
}

const good: Record<string, readonly Row[]> = {
  "an empty history": [],
  "a read of a key that was never written": [["a", 0, 1, get, null]],
  "a read beside a write, of before and of after it": [
    ["a", 0, 9, put(1)],
    ["b", 1, 2, get, null],
    ["b", 3, 4, get, 1],
  ],
  "an unknown write that is seen late": [
    ["a", 0, "unknown", put(1)],
    ["b", 1, 2, put(2)],
    ["b", 3, 4, get, 2],
    ["b", 5, 6, get, 1],
  ],
  "an unknown write that never happened": [
    ["a", 0, "unknown", put(1)],
    ["b", 1, 2, get, null],
  ],
  "a write that failed": [["a", 0, "failed", put(1)], ["b", 1, 2, get, null]],
  "operations at the same moment": [["a", 0, 1, put(1)], [
    "b",
    1,
    1,
    get,
    null,
  ]],
  "two that raced for a change, one of which lost": [
    ["a", 0, 1, put(1)],
    ["a", 2, 5, cas(1, 2), true],
    ["b", 2, 5, cas(1, 3), false],
    ["b", 6, 7, get, 2],
  ],
  "a delete": [
    ["a", 0, 1, put(1)],
    ["a", 2, 3, remove],
    ["b", 4, 5, get, null],
  ],
};
for (const [name, rows] of Object.entries(good)) {
  Deno.test(`checkLinearizability() passes ${name}`, () =>
    assertEquals(check(rows).verdict, "linearizable"));
}

const bad: Record<string, { rows: readonly Row[]; shown: number[] }> = {
  "a stale read": {
    rows: [
      ["a", 0, 1, put(1)],
      ["a", 2, 3, put(2)],
      ["b", 4, 5, get, 1],
    ],
    shown: [0, 1, 2],
  },
  "a lost write": {
    rows: [["a", 0, 1, put(1)], ["b", 2, 3, get, null]],
    shown: [0, 1],
  },
  "a phantom value": {
    rows: [["a", 0, 1, put(1)], ["b", 2, 3, get, 7]],
    shown: [1],
  },
  "a value from the future": {
    rows: [["b", 0, 1, get, 1], ["a", 2, 3, put(1)]],
    shown: [0],
  },
  "a write that failed and was seen": {
    rows: [["a", 0, "failed", put(1)], ["b", 1, 2, get, 1]],
    shown: [1],
  },
  "reads that see two writes in opposite orders": {
    rows: [
      ["a", 0, 9, put(1)],
      ["b", 0, 9, put(2)],
      ["c", 1, 2, get, 1],
      ["c", 3, 4, get, 2],
      ["c", 5, 6, get, 1],
    ],
    shown: [0, 1, 2, 3, 4],
  },
  "a deleted value that comes back": {
    rows: [
      ["a", 0, 1, put(1)],
      ["a", 2, 3, remove],
      ["b", 4, 5, get, 1],
    ],
    shown: [0, 1, 2],
  },
  "two changes of the same state": {
    rows: [
      ["a", 0, 1, put(1)],
      ["a", 2, 5, cas(1, 2), true],
      ["b", 2, 5, cas(1, 3), true],
    ],
    shown: [0, 1, 2],
  },
  "an unknown write that is seen, unseen and seen again": {
    rows: [
      ["a", 0, "unknown", put(1)],
      ["b", 1, 2, get, 1],
      ["b", 3, 4, get, null],
    ],
    shown: [0, 1, 2],
  },
};
for (const [name, { rows, shown }] of Object.entries(bad)) {
  Deno.test(`checkLinearizability() finds ${name}`, () => {
    const { verdict, violations } = check(rows);
    assertEquals(verdict, "violation");
    assertEquals(violations.map(({ operations }) => operations), [shown]);
  });
}

Deno.test("checkLinearizability() shows only the contradictory part of a long history", () => {
  const rows: Row[] = [];
  for (let i = 1; i <= 60; i++) {
    const at = i * 10;
    rows.push(["a", at, at + 4, put(i)], ["b", at + 2, at + 3, put(1_000 + i)]);
    rows.push(["c", at + 5, at + 6, get, i], ["d", at + 2, "unknown", put(-i)]);
  }
  // A value long gone reappears in the middle.
  rows.splice(160, 0, ["e", 409, 410, get, 30]);
  for (const model of [registerModel, casRegisterModel]) {
    const { violations } = checkLinearizability(
      historyOf(rows) as OperationRecord<never, never>[],
      model,
    );
    const { message, operations = [], key } = violations[0] as Violation;
    assertEquals(key, "k");
    assertEquals(operations.length, 3);
    assert(operations.includes(160), message);
    assert(
      message.startsWith(
        'Key "k" is not linearizable: operation 160, e get gave 30, cannot be placed in any order of\n',
      ),
      message,
    );
  }
});

Deno.test("checkLinearizability() judges each key alone", () => {
  const rows: readonly Row[] = [["a", 0, 1, put(1)], ["b", 2, 3, get, null]];
  const { verdict, violations } = checkLinearizability([
    ...historyOf([["a", 0, 1, put(1)]], "other"),
    ...historyOf(rows).map((record) => ({ ...record, id: record.id + 1 })),
  ], casRegisterModel);
  assertEquals(verdict, "violation");
  assertEquals(violations.map(({ key }) => key), ["k"]);
});

/** Concurrent writes and failed changes: every order must be tried. */
function hard(last: Row): Row[] {
  const rows: Row[] = [];
  for (let i = 0; i < 12; i++) {
    rows.push([`w${i}`, 0, 100, cas(i, i + 1), true]);
  }
  return [["a", 0, 100, put(5)], ["b", 0, 100, put(6)], ...rows, last];
}

Deno.test("checkLinearizability() reports a key that takes too many steps as undecided, never as passed", () => {
  const rows = hard(["z", 200, 201, get, 99]);
  const cut = check(rows, 20);
  assertEquals([cut.verdict, cut.undecided, cut.violations], [
    "undecided",
    ["k"],
    [],
  ]);
  assertEquals(cut.steps, 20);
  assertEquals(
    linearizabilityViolations(historyOf(rows), casRegisterModel, {
      stepsMax: 20,
    }),
    [{
      check: UNDECIDED,
      message: "Whether k is linearizable was not decided",
      key: "k",
    }],
  );
  assertEquals(check(rows).verdict, "violation");
});

Deno.test("checkLinearizability() refuses a read without an output, on which no check could fail", () => {
  const [read] = historyOf([["a", 0, 1, get, 1]]) as [Operation];
  assertThrows(
    () =>
      checkLinearizability([{ ...read, output: undefined }], casRegisterModel),
    TypeError,
    "Cannot check operation 0",
  );
});
