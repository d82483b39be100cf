/**
 * How long a claimant thinks about a plan, its claim included. Goals: 20 ms for 64
 * partitions and 8 nodes, 2 s for 1024 partitions and 100 nodes. The first plan of
 * a process takes longer: `first_plan.ts`.
 *
 *     deno bench bench/plan_bench.ts
 */
import { computePlan } from "../src/ring/staged_plan.ts";
import { stagedRings } from "./staged_rings.ts";

for (const [size, nodes] of [[64, 8], [1024, 100]] as const) {
  for (const [name, ringOf] of stagedRings(size, nodes)) {
    const ring = ringOf();
    Deno.bench({ name: `${size}/${nodes}: ${name}`, n: 5, warmup: 1 }, () => {
      computePlan(ring, 4);
    });
  }
}
