import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  checkQuorumRule,
  readQuorum,
  type ReadQuorumOptions,
  writeQuorum,
  type WriteQuorumOptions,
} from "./quorum_options.ts";

Deno.test("readQuorum() asks 3 replicas for 2 answers within 5 seconds by default", () => {
  const rule = {
    kind: "read" as const,
    n: 3,
    need: 2,
    primaries: 0,
    durable: 0,
    nodeConfirms: 0,
    strict: false,
    timeoutMs: 5000,
  };
  assertEquals(readQuorum(undefined, 64), rule);
  assertEquals(readQuorum({}, 64), rule);
});

Deno.test("writeQuorum() requires acknowledged writes to be durable by default", () => {
  const cases: [WriteQuorumOptions, number, number][] = [
    [{}, 2, 2],
    [{ w: 1 }, 1, 1],
    [{ w: "all" }, 3, 3],
    [{ w: "all", dw: 0 }, 3, 0],
    [{ w: 1, dw: "all" }, 1, 3],
    [{ n: 5 }, 3, 3],
    [{ n: 1 }, 1, 1],
  ];
  for (const [options, need, durable] of cases) {
    const rule = writeQuorum(options, 64);
    assertEquals([rule.need, rule.durable], [need, durable]);
  }
  assertEquals(writeQuorum(undefined, 64).durable, 2);
});

Deno.test("readQuorum() resolves one, quorum and all against n", () => {
  for (
    const [n, quorum] of [[1, 1], [2, 2], [3, 2], [4, 3], [5, 3], [8, 5]] as [
      number,
      number,
    ][]
  ) {
    assertEquals(readQuorum({ n, r: "one" }, 64).need, 1);
    assertEquals(readQuorum({ n, r: "quorum" }, 64).need, quorum);
    assertEquals(readQuorum({ n, pr: "all" }, 64).primaries, n);
    assertEquals(
      readQuorum({ n, nodeConfirms: "quorum" }, 64).nodeConfirms,
      quorum,
    );
  }
});

Deno.test("readQuorum() refuses invalid options and names option, rule and value", () => {
  const cases: [Record<string, unknown>, string, string][] = [
    [{ r: 0 }, "r", "0"],
    [{ r: 4 }, "r", "4"],
    [{ r: -1 }, "r", "-1"],
    [{ r: 1.5 }, "r", "1.5"],
    [{ r: NaN }, "r", "NaN"],
    [{ r: "most" }, "r", '"most"'],
    [{ r: null }, "r", "null"],
    [{ r: true }, "r", "of type boolean"],
    [{ n: 2, r: 3 }, "r", "3"],
    [{ pr: 4 }, "pr", "4"],
    [{ pr: -1 }, "pr", "-1"],
    [{ n: 0 }, "n", "0"],
    [{ n: 9 }, "n", "9"],
    [{ n: "all" }, "n", '"all"'],
    [{ n: Infinity }, "n", "Infinity"],
    [{ nodeConfirms: 4 }, "nodeConfirms", "4"],
    [{ timeoutMs: 0 }, "timeoutMs", "0"],
    [{ timeoutMs: 3_600_001 }, "timeoutMs", "3600001"],
    [{ quorum: "lax" }, "quorum", '"lax"'],
  ];
  for (const [options, option, value] of cases) {
    const error = assertThrows(
      () => readQuorum(options as ReadQuorumOptions, 64),
      WhorlError,
      `Cannot take ${option} as it must be `,
    );
    assertEquals(error.code, "invalid_quorum");
    assertEquals(error.details.option, option);
    assertEquals(error.details.value, value);
  }
});

Deno.test("writeQuorum() refuses w, pw and dw outside their bounds by name", () => {
  for (
    const [options, option] of [
      [{ w: 0 }, "w"],
      [{ w: 4 }, "w"],
      [{ pw: 4 }, "pw"],
      [{ dw: 4 }, "dw"],
      [{ dw: -1 }, "dw"],
    ] as [WriteQuorumOptions, string][]
  ) {
    const error = assertThrows(() => writeQuorum(options, 64), WhorlError);
    assertEquals(error.details.option, option);
  }
});

Deno.test("writeQuorum() refuses more replicas than the ring has partitions", () => {
  assertEquals(writeQuorum({ n: 2 }, 2).n, 2);
  assertEquals(writeQuorum(undefined, 2).n, 2);
  const error = assertThrows(() => writeQuorum({ n: 3 }, 2), WhorlError);
  assertEquals(error.details.rule, "a whole number from 1 to 2");
});

Deno.test("checkQuorumRule() applies the same limits to a rule from elsewhere", () => {
  const rule = writeQuorum({ n: 3, w: 2 }, 64);
  checkQuorumRule(rule, 64);
  for (
    const broken of [
      { ...rule, need: 0 },
      { ...rule, need: 4 },
      { ...rule, durable: 4 },
      { ...rule, primaries: 255 },
      { ...rule, n: 9 },
      { ...rule, nodeConfirms: 4 },
      { ...rule, timeoutMs: 0 },
      { ...readQuorum({}, 64), durable: 1 },
    ]
  ) {
    const error = assertThrows(() => checkQuorumRule(broken, 64), WhorlError);
    assertEquals(error.code, "invalid_quorum");
  }
});
