/**
 * Schedules as data: what a seed comes to, and what never comes together.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  FAULT_MS_MAX,
  FAULT_MS_MIN,
  FAULTS_AT_ONCE_MAX,
  FaultSchedule,
  type PlannedFault,
} from "./fault_schedule.ts";
import { FAULTS } from "./fault_table.ts";
import type { Machine } from "./machine.ts";

const NODES = ["dev1@h", "dev2@h", "dev3@h", "dev4@h", "dev5@h"];
const ABLE: Machine = { library: { path: "/lib" }, namespaces: undefined };
const ROUND_MS = 20_000;

function rounds(seed: string, count: number, nodes = NODES): PlannedFault[][] {
  const schedule = new FaultSchedule(seed, FAULTS, nodes);
  return Array.from({ length: count }, () => schedule.nextRound(ROUND_MS));
}

function overlap(a: PlannedFault, b: PlannedFault): boolean {
  return a.atMs < b.atMs + b.forMs && b.atMs < a.atMs + a.forMs;
}

Deno.test("FaultSchedule draws the same rounds from the same seed, and others from another", () => {
  assertEquals(rounds("a", 5), rounds("a", 5));
  assertNotEquals(rounds("a", 5), rounds("b", 5));
});

Deno.test("FaultSchedule plans survive JSON, as the report keeps them", () => {
  const planned = rounds("json", 5);
  assertEquals(JSON.parse(JSON.stringify(planned)), planned);
});

Deno.test("FaultSchedule has one to three faults at once, which claim nothing in common", () => {
  for (const round of rounds("claims", 50)) {
    assert(round.length > 0);
    for (const one of round) {
      assert(one.forMs >= FAULT_MS_MIN && one.forMs < FAULT_MS_MAX);
      const together = round.filter((other) => overlap(one, other));
      assert(together.length <= FAULTS_AT_ONCE_MAX);
      const claims = together.flatMap((other) => other.claims);
      assertEquals(claims.length, new Set(claims).size, claims.join());
    }
  }
});

Deno.test("FaultSchedule brings every kind before it brings one again", () => {
  const kinds = rounds("deck", 30).flat().map(({ fault }) => fault);
  const counts = FAULTS.map(({ name }) =>
    kinds.filter((kind) => kind === name).length
  );
  assert(Math.min(...counts) > 0, `${counts}`);
  assert(Math.max(...counts) - Math.min(...counts) <= 2, `${counts}`);
});

Deno.test("FaultSchedule damages one store a round, so that others have what it lost", () => {
  for (const round of rounds("damage", 100)) {
    assert(round.filter(({ fault }) => fault === "store_damage").length <= 1);
  }
  const damage = FAULTS.filter(({ name }) => name === "store_damage");
  const alone = new FaultSchedule("alone", damage, NODES).nextRound(ROUND_MS);
  assertEquals(alone.length, 1);
});

Deno.test("partitions leave what their names say", () => {
  const shapes = new Map<string, Set<string>>();
  for (const { fault, plan } of rounds("shapes", 200).flat()) {
    if (!fault.startsWith("partition")) continue;
    const { blocked } = plan as { blocked: [string, string][] };
    const cut = new Set(blocked.map(([from, to]) => `${from} ${to}`));
    const hears = (from: string, to: string): boolean =>
      !cut.has(`${from} ${to}`);
    // How many others each node still exchanges bytes with, both ways.
    const degrees = NODES.map((one) =>
      NODES.filter((other) =>
        other !== one && hears(one, other) && hears(other, one)
      ).length
    ).sort().join("");
    if (!shapes.has(fault)) shapes.set(fault, new Set());
    shapes.get(fault)!.add(`${degrees} of ${blocked.length}`);
  }
  assertEquals(
    Object.fromEntries(
      [...shapes].map(([name, seen]) => [name, [...seen].sort()] as const)
        .sort(([a], [b]) => a < b ? -1 : 1),
    ),
    {
      partition_full: ["00000 of 20"],
      partition_majority: ["03333 of 8", "11222 of 12"],
      partition_minority: ["01111 of 16"],
      // Four directions, of one node, one way.
      partition_one_way: ["03333 of 4"],
      partition_ring: ["22222 of 10"],
    },
  );
});

Deno.test("of three nodes, two do not reach each other on the ring", () => {
  const nodes = NODES.slice(0, 3);
  const ring = rounds("three", 50, nodes).flat()
    .filter(({ fault }) => fault === "partition_ring");
  assert(ring.length > 0);
  for (const { plan } of ring) {
    const { blocked } = plan as { blocked: [string, string][] };
    assertEquals(blocked.length, 2);
    assertEquals(new Set(blocked.flat()).size, 2);
  }
});

Deno.test("faults say why they cannot be done", () => {
  const unable = (machine: Machine, nodes: number) =>
    FAULTS.filter((fault) => fault.unable?.(machine, nodes) !== undefined)
      .map(({ name }) => name);
  assertEquals(unable(ABLE, 5), []);
  assertEquals(unable(ABLE, 3), ["partition_minority"]);
  assertEquals(
    unable({ library: { missing: "no cc" }, namespaces: "no nft" }, 5),
    [
      "loss",
      "clock_jump",
      "clock_rate",
      "short_write",
      "slow_fsync",
      "disk_error",
      "disk_full",
    ],
  );
});
