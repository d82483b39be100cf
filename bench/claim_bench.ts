/**
 * How long a claimant thinks: joins, leaves and rings at random. Goals: 50 ms
 * for 64 partitions and 10 nodes, 1.5 s for 1024 and 50, both at random, where
 * the search can never end early.
 *
 *     deno bench bench/claim_bench.ts
 */
import { seededChance } from "../src/base/chance.ts";
import { claim } from "../src/ring/claim.ts";

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `node${i}@host`);
}

function cluster(ringSize: number, nodes: number): string[] {
  const owners = Array<string>(ringSize).fill("node0@host");
  return claim({ owners, claimants: names(nodes) });
}

function atRandom(ringSize: number, nodes: number): string[] {
  const chance = seededChance(ringSize);
  const claimants = names(nodes);
  return Array.from({ length: ringSize }, () => chance.pick(claimants));
}

const starts: [string, string[], string[]][] = [
  ["64: node 3 joins 2", cluster(64, 2), names(3)],
  ["64: node 4 joins 3", cluster(64, 3), names(4)],
  ["64: node 5 joins 4", cluster(64, 4), names(5)],
  ["64: node 0 of 6 leaves", cluster(64, 6), names(6).slice(1)],
  ["64: 10 nodes, at random", atRandom(64, 10), names(10)],
  ["1024: node 3 joins 2", cluster(1024, 2), names(3)],
  ["1024: node 51 joins 50", cluster(1024, 50), names(51)],
  ["1024: 50 nodes, at random", atRandom(1024, 50), names(50)],
];

for (const [name, owners, claimants] of starts) {
  Deno.bench({ name, n: 5, warmup: 1 }, () => {
    claim({ owners, claimants });
  });
}
