import { assertEquals } from "@std/assert";
import { resizeMark } from "../ring/decision_mark.ts";
import {
  abortResize,
  beginResize,
  completeTransfers,
  freshRing,
  installResize,
  putFacts,
  setStatus,
} from "../ring/ring_change.ts";
import type { Ring } from "../ring/ring.ts";
import {
  completedPartitions,
  hasHandedOnOrigin,
  planTransfers,
  transferName,
  type TransferPlan,
  type TransferSituation,
} from "./transfer_plan.ts";

/** A ring of 8 owned by `a`, with some exceptions and pending transfers. */
function ringWith(
  owners: Record<number, string>,
  next: Record<number, string> = {},
  progress: Record<number, string[] | "complete"> = {},
): Ring {
  const ring = freshRing({
    clusterName: "test",
    size: 8,
    seed: "0123456789abcdef",
    node: { name: "a" } as never,
    wallMs: 0,
  });
  const all = ring.ownership.owners.map((owner, i) => owners[i] ?? owner);
  return {
    ...ring,
    ownership: {
      ...ring.ownership,
      owners: all,
      next: Object.entries(next).map(([partition, nextOwner]) => ({
        partition: Number(partition),
        owner: all[Number(partition)]!,
        nextOwner,
        term: 1,
        version: 5,
      })),
    },
    progress: new Map(
      Object.entries(progress).map(([partition, done]) => [Number(partition), {
        term: 1,
        version: 5,
        decisions: [],
        completedModules: done === "complete" ? ["kv"] : done,
        complete: done === "complete",
      }]),
    ),
  };
}

/** The plan of `a`, which holds the partitions with names like `kv/3`. */
function planOf(
  ring: Ring,
  held: string[],
  extra: Partial<TransferSituation> = {},
): TransferPlan {
  return planTransfers({
    ring,
    self: "a",
    modules: ["kv"],
    held: held.map((name) => {
      const [module, partition] = name.split("/");
      return { module: module!, partition: Number(partition) };
    }),
    handedOver: new Map(),
    arriving: new Set(),
    upNodes: () => ["a", "b", "c"],
    ...extra,
  });
}

/**
 * The plan of `a` as text: `ownership kv/3 to b`, with what blocks it, and
 * `drop kv/3`.
 */
function plan(
  ring: Ring,
  held: string[],
  extra: Partial<TransferSituation> = {},
): string[] {
  const { wanted, settled } = planOf(ring, held, extra);
  return [
    ...wanted.map(({ kind, module, sourcePartition, target, blocked }) =>
      `${kind} ${module}/${sourcePartition} to ${target}` +
      (blocked === null ? "" : `, ${blocked}`)
    ),
    ...settled.map(({ action, module, partition }) =>
      `${action} ${module}/${partition}`
    ),
  ];
}

function went(name: string, target: string, version = 5) {
  return { handedOver: new Map([[name, { target, term: 1, version }]]) };
}

Deno.test("planTransfers() plans nothing if every node holds exactly its own partitions", () => {
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/1", "kv/2"]), []);
});

Deno.test("planTransfers() sends what the ring promises to others, for each module, held or not, with its decision", () => {
  const ring = ringWith({ 4: "b", 5: "b" }, { 3: "b", 4: "c", 5: "a" });
  assertEquals(
    plan(ring, ["kv/3"], { modules: ["kv", "notes"] }),
    ["ownership kv/3 to b", "ownership notes/3 to b"],
  );
  const { wanted } = planTransfers({
    ring,
    self: "a",
    modules: ["kv"],
    held: [],
    handedOver: new Map(),
    arriving: new Set(),
    upNodes: () => ["b"],
  });
  assertEquals(wanted, [{
    kind: "ownership",
    module: "kv",
    sourcePartition: 3,
    target: "b",
    targetPartition: 3,
    keySpaces: null,
    decided: { term: 1, version: 5 },
    blocked: null,
  }]);
  assertEquals(wanted.map(transferName), ["ownership/kv/3/3/b"]);
});

Deno.test("planTransfers() skips modules that the ring knows to have moved", () => {
  const modules = ["kv", "notes"];
  const next = { 3: "b" };
  assertEquals(
    plan(ringWith({}, next, { 3: ["kv"] }), ["kv/3", "notes/3"], { modules }),
    ["ownership notes/3 to b"],
  );
  assertEquals(
    plan(ringWith({}, next, { 3: "complete" }), ["kv/3"], { modules }),
    [],
  );
});

Deno.test("planTransfers() reports what was handed over until the ring knows it, and drops it when it has a new owner", () => {
  const gone = went("kv/3", "b");
  assertEquals(plan(ringWith({}, { 3: "b" }), ["kv/3"], gone), ["report kv/3"]);
  assertEquals(
    plan(ringWith({}, { 3: "b" }, { 3: "complete" }), ["kv/3"], gone),
    [],
  );
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/3"], gone), ["drop kv/3"]);
});

Deno.test("planTransfers() takes back what was handed over by another decision, or belongs to the node again", () => {
  assertEquals(
    plan(ringWith({}, { 3: "b" }), ["kv/3"], went("kv/3", "b", 4)),
    ["take_back kv/3"],
  );
  assertEquals(
    plan(ringWith({}, { 3: "c" }), ["kv/3"], went("kv/3", "b")),
    ["take_back kv/3"],
  );
  assertEquals(
    plan(ringWith({}), ["kv/3"], went("kv/3", "b")),
    ["take_back kv/3"],
  );
});

Deno.test("planTransfers() sends what a node holds for others to the owners", () => {
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/3"]), ["hinted kv/3 to b"]);
  // The owner has it until the next one does.
  assertEquals(plan(ringWith({ 3: "b" }, { 3: "c" }), ["kv/3"]), [
    "hinted kv/3 to b",
  ]);
});

Deno.test("planTransfers() drops what went to a node that has passed it on since, unless that node is lost", () => {
  const ring = ringWith({ 3: "c" });
  for (const status of ["valid", "leaving", "exiting"] as const) {
    const there = setStatus(ring, "a", "b", status);
    assertEquals(
      plan(there, ["kv/3"], went("kv/3", "b")),
      ["drop kv/3"],
      status,
    );
  }
  for (const status of ["down", "invalid"] as const) {
    const lost = setStatus(ring, "a", "b", status);
    assertEquals(
      plan(lost, ["kv/3"], went("kv/3", "b")),
      ["hinted kv/3 to c", "forget kv/3"],
      status,
    );
  }
  // Also if it is to come back from the one that was given nothing.
  assertEquals(
    plan(ringWith({ 3: "c" }, { 3: "a" }), ["kv/3"], went("kv/3", "b")),
    ["forget kv/3"],
  );
  // Nor is it a member any more.
  assertEquals(plan(ring, ["kv/3"], went("kv/3", "b")), [
    "hinted kv/3 to c",
    "forget kv/3",
  ]);
});

Deno.test("planTransfers() keeps partitions that the node is getting, and those that are arriving", () => {
  assertEquals(plan(ringWith({ 3: "b" }, { 3: "a" }), ["kv/3"]), []);
  const arriving = new Set(["kv/3"]);
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/3", "kv/4"], { arriving }), []);
});

Deno.test("planTransfers() blocks transfers to a version that does not support them, and says so", () => {
  assertEquals(
    plan(ringWith({ 4: "c" }, { 3: "b" }), ["kv/4"], {
      canHandOff: (node) => node !== "c",
    }),
    [
      "ownership kv/3 to b",
      "hinted kv/4 to c, c runs a version that takes no transfers",
    ],
  );
});

Deno.test("planTransfers() says what keeps a transfer from being made", () => {
  assertEquals(
    plan(ringWith({ 4: "c" }, { 3: "b" }), ["kv/4"], { upNodes: () => ["a"] }),
    [
      "ownership kv/3 to b, b does not serve kv now",
      "hinted kv/4 to c, c does not serve kv now",
    ],
  );
});

Deno.test("planTransfers() ignores partitions that the ring does not have", () => {
  assertEquals(plan(ringWith({}), ["kv/99"]), []);
});

Deno.test("planTransfers() spreads everything a node owns during a resize, whatever it has reported", () => {
  let ring = ringWith({ 2: "b" });
  ring = beginResize(ring, "a", new Array(16).fill("b"));
  ring = completeTransfers(ring, "a", [1], null, ["kv"]);
  const { wanted } = planOf(ring, ["kv/1"]);
  assertEquals(
    wanted.map(({ kind, sourcePartition }) => `${kind} ${sourcePartition}`),
    [0, 1, 3, 4, 5, 6, 7].map((partition) => `resize ${partition}`),
  );
  const { term, version } = ring.ownership;
  const resize = { generation: 1, owners: new Array<string>(16).fill("b") };
  const decided = { term, version, resize: resizeMark(resize) };
  assertEquals(wanted[0]?.decided, decided);
  assertEquals(wanted[0]?.spread, {
    ringSize: 16,
    firstVnode: 1024,
    follows: true,
  });
  assertEquals(
    planOf(ring, [], { upNodes: () => ["a", "c"] }).wanted[0]?.blocked,
    "b does not serve kv now",
  );
});

Deno.test("planTransfers() keeps data received for a resize until the resize is aborted", () => {
  let ring = beginResize(ringWith({}), "a", new Array(16).fill("a"));
  const held = ["kv/1027"];
  const kinds = (): string[] =>
    planOf(ring, held).settled.map(({ action, partition }) =>
      `${action} ${partition}`
    );
  assertEquals(kinds(), []);
  ring = abortResize(ring, "a");
  assertEquals(kinds(), ["discard 1027"]);
  assertEquals(planOf(ring, held).wanted, []);
  // It stays that way while the ring is resized again.
  ring = beginResize(ring, "a", new Array(32).fill("a"));
  assertEquals(kinds(), ["discard 1027"]);
});

Deno.test("planTransfers() spreads data of former rings, if it may go, under the same name", () => {
  const before = beginResize(ringWith({}), "a", new Array(16).fill("b"));
  const ring = installResize(before, "a");
  const held = ["kv/3", "kv/1030", "kv/2050"];
  const { wanted } = planOf(ring, held);
  assertEquals(
    wanted.map((each) => `${each.kind} ${each.sourcePartition}`),
    ["resize 3", "hinted 1030"],
  );
  assertEquals(wanted[0]?.spread?.follows, false);
  assertEquals(
    planOf(before, held).wanted.map(transferName).includes(
      transferName(wanted[0]!),
    ),
    true,
  );
  const stays = planOf(ring, held, { formerStays: "not yet" }).wanted;
  assertEquals(stays.map(({ blocked }) => blocked), ["not yet", null]);
});

Deno.test("planTransfers() drops what is left of a former ring and was handed over in it, unless the target is lost", () => {
  const before = setStatus(ringWith({ 3: "b" }), "a", "b", "valid");
  const resizing = beginResize(before, "a", new Array(16).fill("b"));
  const ring = installResize(resizing, "a");
  assertEquals(plan(ring, ["kv/3"]), ["resize kv/3 to *"]);
  const extra = went("kv/3", "b");
  assertEquals(plan(ring, ["kv/3"], extra), ["drop kv/3"]);
  const lost = setStatus(ring, "a", "b", "down");
  assertEquals(plan(lost, ["kv/3"], extra), [
    "resize kv/3 to *",
    "forget kv/3",
  ]);
});

Deno.test("planTransfers() spreads what a member came with if the ring has other partitions by these numbers", () => {
  const resized = installResize(
    beginResize(ringWith({}), "a", new Array(16).fill("b")),
    "a",
  );
  const facts = { name: "a", address: "a:1", nodeId: "id-a" };
  const ring = putFacts(resized, { ...facts, origin: "1/32" }, 0);
  const held = ["kv/1030", "kv/1050"];
  const { wanted, settled } = planOf(ring, held);
  assertEquals(
    wanted.map((each) => `${each.kind} ${each.sourcePartition}`),
    ["resize 1030", "resize 1050"],
  );
  assertEquals(wanted[1]?.spread, {
    ringSize: 16,
    firstVnode: 1024,
    follows: false,
  });
  assertEquals(settled, []);
  const all = held.map((name) => ({
    module: "kv",
    partition: Number(name.slice(3)),
  }));
  const hasHandedOn = (ring: Ring, left: typeof all) =>
    hasHandedOnOrigin(ring, "a", left);
  assertEquals([hasHandedOn(ring, all), hasHandedOn(ring, [])], [false, true]);
  // While joining it may still end up alone with all of it.
  const guest = setStatus(ring, "a", "a", "joining");
  assertEquals(planOf(guest, held).wanted, []);
  assertEquals(hasHandedOn(guest, []), false);
  // Numbers of another ring conflict with nothing.
  const other = putFacts(resized, { ...facts, origin: "2/32" }, 0);
  assertEquals(hasHandedOn(other, []), false);
  assertEquals(
    planOf(other, ["kv/1030"]).wanted.map(({ kind }) => kind),
    ["hinted"],
  );
});

Deno.test("planTransfers() hands on data of two former rings of the node, and discards neither", () => {
  const facts = { name: "a", address: "a:1", nodeId: "id-a" };
  const given = abortResize(
    beginResize(ringWith({}), "a", new Array(32).fill("b")),
    "a",
  );
  const held = ["kv/1030", "kv/2050"];
  const planned = (origin: string, lostOrigins: string | null) => {
    const ring = putFacts(given, { ...facts, origin, lostOrigins }, 0);
    const { wanted, settled } = planOf(ring, held);
    return [
      wanted.map(({ kind, sourcePartition }) => `${kind} ${sourcePartition}`),
      settled.map(({ action, partition }) => `${action} ${partition}`),
    ];
  };
  const both = [["resize 1030", "resize 2050"], []];
  assertEquals(planned("2/64", "1/16"), both);
  assertEquals(planned("1/16", "2/64"), both);
  assertEquals(planned("2/64", null), [["resize 2050"], ["discard 1030"]]);
});

Deno.test("completedPartitions() selects partitions that went where the ring sends them, by the same decision", () => {
  const went = { target: "b", term: 1, version: 5 };
  const completed = (ring: Ring, by = went, self = "a"): number[] =>
    completedPartitions(
      { ring, self, handedOver: new Map([["kv/3", by], ["kv/4", by]]) },
      [3, 4, 6].map((partition) => ({ module: "kv", partition })),
    );
  const ring = ringWith({}, { 3: "b", 4: "b", 6: "b" });
  assertEquals(completed(ring), [3, 4]);
  assertEquals(completed(ringWith({}, { 3: "c", 4: "b" })), [4]);
  assertEquals(completed(ringWith({})), []);
  assertEquals(completed(ringWith({ 3: "c" }, { 3: "b" })), []);
  assertEquals(completed(ring, { ...went, version: 4 }), []);
  assertEquals(completed(ring, { ...went, term: 0 }), []);
  // A resize has steps with the same numbers, which are different.
  const resizing = beginResize(ringWith({}), "a", Array(16).fill("a"));
  assertEquals(completed(resizing), []);
  const resized = installResize(resizing, "a");
  const { next } = ring.ownership;
  assertEquals(
    completed({ ...resized, ownership: { ...resized.ownership, next } }),
    [],
  );
});
