import { assertEquals } from "@std/assert";
import { formCluster, stopCluster } from "./cluster_life.ts";
import { RealWorldGuard } from "./real_world_guard.ts";
import { drawSchedule } from "./schedule/draw_schedule.ts";
import { SimulatedCluster } from "./simulated_cluster.ts";
import { Trace } from "./trace/trace.ts";
import { VirtualTime } from "./virtual_time.ts";

// With seed 7081 a plan was made before the claimant knew of all joins, when a
// node admitted itself.
Deno.test("formCluster() joins nodes through a claimant that knows of each before the node itself does", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    using guard = new RealWorldGuard();
    const time = new VirtualTime(guard);
    const cluster = new SimulatedCluster({
      schedule: drawSchedule(seed, { start: "joining" }),
      time,
      trace: new Trace(false, () => time.now()),
    });
    const [claimant, ...guests] = cluster.machines.map((machine) => () =>
      machine.node?.parts.cluster?.ring.members
    );
    const ahead: string[] = [];
    const unobserve = time.observe(() => {
      for (const [index, guest] of guests.entries()) {
        const { size = 0 } = guest() ?? {};
        if (size > 1 && !claimant?.()?.has(`n${index + 2}@n${index + 2}`)) {
          ahead.push(`n${index + 2} at ${time.now()} ms`);
        }
      }
    });
    assertEquals(await formCluster(cluster, ["kv"]), [], `seed ${seed}`);
    unobserve();
    assertEquals(ahead, [], `seed ${seed}`);
    assertEquals(claimant?.()?.size, 3);
    assertEquals(await stopCluster(cluster), []);
    assertEquals([...guard.refused], []);
  }
});

// Until the first transfer is done the first node owns all. Seed 6100925 took it
// away just then, so that 2 of 50 operations were acknowledged.
Deno.test("formCluster() waits until all nodes know that each owns a partition, and not until none is to move", async () => {
  let moving = 0;
  for (let seed = 1; seed <= 20; seed++) {
    using guard = new RealWorldGuard();
    const time = new VirtualTime(guard);
    const cluster = new SimulatedCluster({
      schedule: drawSchedule(seed, { start: "joining" }),
      time,
      trace: new Trace(false, () => time.now()),
    });
    assertEquals(await formCluster(cluster, ["kv"]), [], `seed ${seed}`);
    for (const { node } of cluster.machines) {
      const { owners = [], next = [] } = node?.parts.cluster?.ring.ownership ??
        {};
      assertEquals(
        new Set(owners).size,
        3,
        `seed ${seed}: ${node?.name} knows of one that owns nothing`,
      );
      if (next.length > 0) moving += 1;
    }
    assertEquals(await stopCluster(cluster), []);
  }
  assertEquals(moving > 0, true, "nothing was moving in any of them");
});
