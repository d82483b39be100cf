import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ACT_TYPES,
  CHANGE_TYPES,
  drawSchedule,
  FAULT_TYPES,
  LOG_PARTS,
  type ScheduleOptions,
} from "./draw_schedule.ts";
import type { PlannedChange } from "./schedule.ts";

const RAFT: ScheduleOptions = { profile: "raft" };

Deno.test("drawSchedule() draws the same plain data for the same seed, and others for others", () => {
  assertEquals(drawSchedule(7), drawSchedule("7"));
  assertEquals(JSON.parse(JSON.stringify(drawSchedule(7))), drawSchedule(7));
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    seen.add(JSON.stringify({ ...drawSchedule(seed), seed: "" }));
  }
  assertEquals(seen.size, 100);
});

Deno.test("drawSchedule() draws every type of fault, at least one per seed, on existing nodes and within the load", () => {
  const types = new Map<string, number>();
  for (let seed = 0; seed < 1_000; seed++) {
    const { faults, nodes, loadMs } = drawSchedule(seed, { nodes: 3 });
    assert(faults.length > 0);
    for (const fault of faults) {
      types.set(fault.type, (types.get(fault.type) ?? 0) + 1);
      assert(fault.atMs >= 0 && fault.atMs < loadMs && fault.forMs > 0);
      if ("node" in fault) assert(fault.node < nodes);
      else if (fault.type === "partition") {
        const all = [...fault.from, ...fault.to];
        assertEquals(new Set(all).size, all.length);
        assert(fault.from.length > 0 && fault.to.length > 0);
      } else assert(fault.from !== fault.to);
    }
  }
  assertEquals([...types.keys()].sort(), [...FAULT_TYPES].sort());
  for (const [type, count] of types) assert(count > 50, `${type}: ${count}`);
});

Deno.test("drawSchedule() draws no faults that need a second node for one node", () => {
  for (let seed = 0; seed < 100; seed++) {
    for (const fault of drawSchedule(seed, { nodes: 1 }).faults) {
      assert("node" in fault && fault.node === 0, fault.type);
    }
  }
  assertEquals(drawSchedule(1, { faults: [] }).faults, []);
});

Deno.test("drawSchedule() refuses options out of range by name", () => {
  assertThrows(
    () => drawSchedule(1, { nodes: 0 }),
    RangeError,
    "'nodes' must be a whole number from 1 to 16: current value is 0",
  );
});

Deno.test("drawSchedule() leaves room on one disk, and draws rot for one node only", () => {
  for (let seed = 0; seed < 1_000; seed++) {
    const { faults, nodes } = drawSchedule(seed, {
      faults: ["disk_full", "bit_rot"],
    });
    const hit = (type: string) =>
      new Set(
        faults.flatMap((fault) =>
          fault.type === type && "node" in fault ? [fault.node] : []
        ),
      ).size;
    assert(hit("disk_full") < nodes, `seed ${seed}`);
    assert(hit("bit_rot") <= 1, `seed ${seed}`);
  }
});

const MEMBERSHIP: ScheduleOptions = { profile: "membership" };

Deno.test("drawSchedule() draws no membership changes by default", () => {
  const { spares, changes } = drawSchedule(1);
  assertEquals([spares, changes], [0, []]);
});

Deno.test("drawSchedule() draws every type of change, on existing machines, in order and within the load", () => {
  const types = new Map<string, number>();
  for (let seed = 0; seed < 1_000; seed++) {
    const { changes, nodes, spares, loadMs } = drawSchedule(seed, MEMBERSHIP);
    assert(changes.length > 0);
    let beforeMs = 0;
    for (const change of changes) {
      types.set(change.type, (types.get(change.type) ?? 0) + 1);
      assert(change.atMs >= beforeMs && change.atMs < loadMs);
      beforeMs = change.atMs;
      if ("node" in change) assert(change.node < nodes + spares);
      if ("by" in change) assert(change.by < nodes + spares);
    }
  }
  assertEquals([...types.keys()].sort(), [...CHANGE_TYPES].sort());
  for (const [type, count] of types) assert(count > 50, `${type}: ${count}`);
});

Deno.test("drawSchedule() never lets a member join or a stranger leave, and keeps a member", () => {
  for (let seed = 0; seed < 1_000; seed++) {
    const { changes, nodes } = drawSchedule(seed, MEMBERSHIP);
    const members = new Set(Array.from({ length: nodes }, (_, i) => i));
    let staged: PlannedChange[] = [];
    for (const change of changes) {
      if (change.type === "clear") staged = [];
      if (change.type === "clear" || !("node" in change)) continue;
      if (change.type === "transfer_limit" || change.type === "handoff_off") {
        continue;
      }
      assertEquals(members.has(change.node), change.type !== "join");
      if ("by" in change) assert(!members.has(change.by));
      staged.push(change);
      if ("commit" in change && !change.commit) continue;
      for (const each of staged) {
        if (each.type === "join") members.add(each.node);
        else if ("node" in each) members.delete(each.node);
        if ("by" in each) members.add(each.by);
      }
      staged = [];
      assert(members.size > 0, `seed ${seed}`);
    }
  }
});

Deno.test("drawSchedule() loses at most one machine, and then draws no rot", () => {
  let losses = 0;
  for (let seed = 0; seed < 1_000; seed++) {
    const { changes, faults, disk } = drawSchedule(seed, MEMBERSHIP);
    const lost = changes.filter(({ type }) => type.startsWith("force_"));
    assert(lost.length <= 1);
    assert(!disk.liesAboutSync);
    losses += lost.length;
    if (lost.length === 0) continue;
    assert(faults.every(({ type }) => type !== "bit_rot"), `seed ${seed}`);
  }
  assert(losses > 50);
});

Deno.test("drawSchedule() draws every type of act on a Raft group, each on existing nodes", () => {
  const drawn = new Map<string, number>();
  const counts = new Set<number>();
  for (let seed = 0; seed < 1_000; seed++) {
    const { nodes, groups = [], faults, changes, disk } = drawSchedule(
      seed,
      RAFT,
    );
    counts.add(groups.length);
    for (const { members } of groups) {
      assert(members.length >= 3, `seed ${seed}`);
      assertEquals(new Set(members).size, members.length);
    }
    assertEquals([changes, disk.liesAboutSync], [[], false]);
    assert(
      faults.every(({ type }) =>
        type !== "bit_rot" && type !== "declared_down"
      ),
    );
    for (const act of groups.flatMap(({ acts }) => acts)) {
      const type = act.type === "log_rot" ? `${act.part} rots` : act.type;
      drawn.set(type, (drawn.get(type) ?? 0) + 1);
      if ("node" in act) assert(act.node >= 0 && act.node < nodes);
    }
  }
  assertEquals([...counts].sort(), [1, 2, 3]);
  const rots = LOG_PARTS.map((part) => `${part} rots`);
  for (
    const type of [...ACT_TYPES.filter((type) => type !== "log_rot"), ...rots]
  ) {
    assert((drawn.get(type) ?? 0) > 50, `${type}: ${drawn.get(type)}`);
  }
});

Deno.test("drawSchedule() leaves a Raft group the voters it needs, and damages the logs of at most one node", () => {
  for (let seed = 0; seed < 1_000; seed++) {
    const { groups = [] } = drawSchedule(seed, RAFT);
    const rotten = new Set(
      groups.flatMap(({ acts }) =>
        acts.flatMap((act) => act.type === "log_rot" ? [act.node] : [])
      ),
    );
    assert(rotten.size <= 1, `seed ${seed}`);
    for (const { members, acts } of groups) {
      const voters = new Set(members);
      const others = new Set<number>();
      let fewest = voters.size;
      for (const act of acts) {
        if (act.type === "add_member") {
          assert(!voters.has(act.node) && !others.has(act.node));
          (act.kind === "voter" ? voters : others).add(act.node);
        } else if (act.type === "remove_member") {
          assert(voters.delete(act.node) || others.delete(act.node));
        }
        fewest = Math.min(fewest, voters.size);
      }
      assert(fewest >= (rotten.size === 0 ? 2 : 3), `seed ${seed}: ${fewest}`);
    }
  }
});
