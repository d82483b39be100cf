import { assertEquals } from "@std/assert";
import { freshRing } from "../ring/ring_change.ts";
import type { Ring } from "../ring/ring.ts";
import {
  planTransfers,
  transferName,
  type TransferSituation,
} from "./transfer_plan.ts";

/** A ring of 8 with owners `a`, some of which have another or are to get one. */
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
        completedModules: done === "complete" ? ["kv"] : done,
        complete: done === "complete",
      }]),
    ),
  };
}

/** The plan of `a`: `ownership kv/3 to b`, with what blocks it, and `drop kv/3`. */
function plan(
  ring: Ring,
  held: string[],
  extra: Partial<TransferSituation> = {},
): string[] {
  const { wanted, settled } = planTransfers({
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

Deno.test("planTransfers() has nothing to do where everybody has his own", () => {
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/1", "kv/2"]), []);
});

Deno.test("planTransfers() sends what the ring promises to others, of each module, held or not, with the decision it is for", () => {
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

Deno.test("planTransfers() has done with modules of which the ring knows that they have moved", () => {
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

Deno.test("planTransfers() takes back what was handed over by another decision, or is its own after all", () => {
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

Deno.test("planTransfers() gives what it holds of others to their owners", () => {
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/3"]), ["hinted kv/3 to b"]);
  // Also what went to one that does not own it now.
  assertEquals(plan(ringWith({ 3: "c" }), ["kv/3"], went("kv/3", "b")), [
    "hinted kv/3 to c",
  ]);
  // The owner has it until another one does.
  assertEquals(plan(ringWith({ 3: "b" }, { 3: "c" }), ["kv/3"]), [
    "hinted kv/3 to b",
  ]);
});

Deno.test("planTransfers() leaves alone what is to be its own, and what is arriving", () => {
  assertEquals(plan(ringWith({ 3: "b" }, { 3: "a" }), ["kv/3"]), []);
  const arriving = new Set(["kv/3"]);
  assertEquals(plan(ringWith({ 3: "b" }), ["kv/3", "kv/4"], { arriving }), []);
});

Deno.test("planTransfers() makes no transfer to a version that takes none, and says so", () => {
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

Deno.test("planTransfers() passes over partitions that the ring does not have", () => {
  assertEquals(plan(ringWith({}), ["kv/99"]), []);
});
